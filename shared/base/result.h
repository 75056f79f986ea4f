// How an expected failure travels: every function that can fail returns a Result (or a Status), must be
// looked at, and gains context on its way up. Broken invariants are SPROCKETS_ASSERT, on in release builds.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sprockets {

/// What the caller can do about it.
enum class ErrorCode {
  kUsage,         // the command line or configuration is wrong; say which option and the way out
  kUnreachable,   // a server did not answer; trying again later may help
  kRefused,       // a server or a guard said no
  kNotPermitted,  // a server said no to this user: it lacks a right
  kWouldLose,     // a guard said no: what is there, and nowhere else, would be lost
  kBusy,          // somebody else holds the lock or the file
  kIo,            // the operating system or SQLite failed; the file is in doubt
  kFull,          // no space or quota left; nothing was written
  kCorrupt,       // bytes are not what was written
  kForeign,       // the file is of a newer version or of another program: leave it untouched
  kStarved,       // the process is short of descriptors or memory; nothing is wrong with the file
  kForbidden,     // this user may not; nothing is wrong with the file
  kNotFound,
  kStopped,  // by the caller, who has seen enough; nothing is wrong
};

/// Did a server or a guard say no, for whatever reason?
inline bool IsRefusal(ErrorCode code) {
  return code == ErrorCode::kRefused || code == ErrorCode::kNotPermitted || code == ErrorCode::kWouldLose;
}

struct [[nodiscard]] Error {
  ErrorCode code;
  std::string message;
  std::string sqlstate = {};  // what PostgreSQL calls it, "23505"; empty: PostgreSQL has not said it

  /// "opening spill file spill-000003: " + what went wrong.
  Error Prefixed(std::string_view context) && {
    message.insert(0, ": ").insert(0, context);
    return std::move(*this);
  }
};

inline Error UsageError(std::string message) {
  return {ErrorCode::kUsage, std::move(message)};
}

[[noreturn]] inline void AbortWithout(const char* what, std::string_view why) {
  std::fprintf(stderr, "a result was asked for its %s and has none: %.*s\n", what, static_cast<int>(why.size()),
               why.data());
  std::abort();
}

/// Either a value or an Error. Asking for the one that is not there is a bug and aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  T& value() & { return *GetValue(); }
  const T& value() const& { return *const_cast<Result*>(this)->GetValue(); }
  T&& value() && { return std::move(*GetValue()); }
  const Error& error() const& { return *const_cast<Result*>(this)->GetError(); }
  Error&& error() && { return std::move(*GetError()); }

  Result Prefixed(std::string_view context) && {
    if (ok()) return std::move(*this);
    return std::move(*this).error().Prefixed(context);
  }

 private:
  T* GetValue() {
    if (T* value = std::get_if<0>(&state_)) return value;
    AbortWithout("value", std::get<1>(state_).message);
  }
  Error* GetError() {
    if (Error* error = std::get_if<1>(&state_)) return error;
    AbortWithout("error", "it succeeded");
  }
  std::variant<T, Error> state_;
};

/// Success, or an Error. Asking for an error that is not there is a bug and aborts.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  const Error& error() const& { return *const_cast<Status*>(this)->GetError(); }
  Error&& error() && { return std::move(*GetError()); }

  Status Prefixed(std::string_view context) && {
    if (error_) error_ = std::move(*error_).Prefixed(context);
    return std::move(*this);
  }

 private:
  Error* GetError() {
    if (!error_) AbortWithout("error", "it succeeded");
    return &*error_;
  }
  std::optional<Error> error_;
};

}  // namespace sprockets

// Return early with the error of a Status or a Result; ASSIGN_OR_RETURN also names the value.
#define SPROCKETS_CONCAT_(a, b) a##b
#define SPROCKETS_CONCAT(a, b) SPROCKETS_CONCAT_(a, b)
#define RETURN_IF_ERROR(expression)                                                    \
  do {                                                                                 \
    if (auto status_ = (expression); !status_.ok()) return std::move(status_).error(); \
  } while (false)
#define ASSIGN_OR_RETURN(declaration, expression) \
  SPROCKETS_ASSIGN_OR_RETURN_(SPROCKETS_CONCAT(result_, __LINE__), declaration, expression)
#define SPROCKETS_ASSIGN_OR_RETURN_(result, declaration, expression) \
  auto result = (expression);                                        \
  if (!result.ok()) return std::move(result).error();                \
  declaration = std::move(result).value()

// An invariant of ours, never triggered by input.
#define SPROCKETS_ASSERT(condition)                                                          \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
