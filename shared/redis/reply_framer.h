// Finds where each reply ends in the bytes that a server sends, in RESP2 and RESP3, without keeping any of them. Pure.
// https://redis.io/docs/reference/protocol-spec/, without attributes, which no server sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sprockets {

class ReplyFramer {
 public:
  enum class Outcome {
    kPart,   // all bytes were taken, and the reply goes on
    kWhole,  // the reply ends with the last byte taken
    kBad,    // this is no reply; nothing behind it can be understood
  };

  /// Takes bytes up to the end of the current reply, or all; `*taken` of them.
  Outcome Take(std::string_view bytes, size_t* taken);

  /// Some bytes of a reply were taken, but not all.
  bool in_reply() const { return in_reply_; }
  // Of the current reply, or of the one that has just ended:
  /// Its first byte.
  char type() const { return type_; }
  /// A null of either protocol.
  bool is_null() const { return is_null_; }
  /// The last integer in it; of a subscription's confirmation, how many there are by now.
  std::optional<int64_t> last_integer() const { return last_integer_; }

 private:
  enum class State { kType, kText, kNumber, kBytes };

  void TakeType(char type);
  bool TakeNumber();

  State state_ = State::kType;
  bool in_reply_ = false;
  char type_ = 0;
  bool is_null_ = false;
  std::optional<int64_t> last_integer_;
  char element_ = 0;             // the type of what is being read
  bool is_whole_reply_ = false;  // the element is no part of another one
  uint64_t elements_left_ = 0;   // until the reply ends, nested ones included
  uint64_t bytes_left_ = 0;      // of a string, its line end included
  std::string digits_;
};

}  // namespace sprockets
