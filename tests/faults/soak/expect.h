// How a soak says that a promise is broken.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace sprockets::soak {

inline void Expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

/// The end of what a program has said.
inline std::string LastOf(const std::string& words) {
  constexpr size_t kMostLastWords = 2000;
  return words.substr(words.size() - std::min(words.size(), kMostLastWords));
}

}  // namespace sprockets::soak
