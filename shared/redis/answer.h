// An answer of Redis, of whatever kind, for those who decide what it means. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace sprockets {

/// Views into memory that whoever hands it over keeps alive meanwhile.
struct RedisAnswer {
  enum class Kind { kNil, kText, kError, kInteger, kArray };
  Kind kind = Kind::kNil;
  std::string_view text;  // of a text (a status or a bulk string) and of an error
  int64_t integer = 0;
  std::vector<RedisAnswer> elements;

  bool is_error() const { return kind == Kind::kError; }
  bool is_text(std::string_view expected) const { return kind == Kind::kText && text == expected; }
};

}  // namespace sprockets
