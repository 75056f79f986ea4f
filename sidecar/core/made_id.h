// The event ids that the sidecar makes: "<producer>-<n>", the producer 16 random hex digits, new in every life. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace sprockets {

inline constexpr size_t kProducerChars = 16;

/// Is this an id of our making, of whatever life? A client can only know it from an answer UNKNOWN.
inline bool IsMadeId(std::string_view id) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (id.size() < kProducerChars + 2 || id[kProducerChars] != '-') return false;
  const std::string_view number = id.substr(kProducerChars + 1);
  return std::all_of(id.begin(), id.begin() + kProducerChars, is_hex) &&
         std::all_of(number.begin(), number.end(), is_digit);
}

}  // namespace sprockets
