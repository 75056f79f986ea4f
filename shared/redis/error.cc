// What an error reply to an XADD means for the event. Pure.
#include "shared/redis/error.h"

#include <algorithm>
#include <array>

namespace sprockets {
namespace {

using namespace std::string_view_literals;

constexpr std::array kServerClasses = {"OOM"sv,     "READONLY"sv, "MISCONF"sv, "NOREPLICAS"sv, "MASTERDOWN"sv,
                                       "LOADING"sv, "BUSY"sv,     "NOAUTH"sv,  "WRONGPASS"sv};
constexpr std::array kStreamClasses = {"WRONGTYPE"sv, "NOPERM"sv};

/// BUSYGROUP and BUSYKEY are not BUSY.
std::string_view ClassOf(std::string_view error) {
  return error.substr(0, error.find(' '));
}

// It has no class of its own, so the text must do (t_stream.c, xaddCommand).
constexpr std::string_view kExhaustedIds = "ERR The stream has exhausted the last possible ID";

}  // namespace

RefusalScope ClassifyRedisError(std::string_view error) {
  const std::string_view word = ClassOf(error);
  const auto is_word = [word](std::string_view each) { return each == word; };
  if (std::any_of(kServerClasses.begin(), kServerClasses.end(), is_word)) return RefusalScope::kServer;
  if (std::any_of(kStreamClasses.begin(), kStreamClasses.end(), is_word)) return RefusalScope::kStream;
  return error.starts_with(kExhaustedIds) ? RefusalScope::kStream : RefusalScope::kUnknown;
}

bool IsNoPermission(std::string_view error) {
  return ClassOf(error) == "NOPERM";
}

bool IsWrongType(std::string_view error) {
  return ClassOf(error) == "WRONGTYPE";
}

std::string_view WithoutArguments(std::string_view error) {
  return error.substr(0, error.find(", with args beginning with"));
}

}  // namespace sprockets
