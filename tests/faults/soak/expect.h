// How a soak says that a promise is broken.
#pragma once

#include <stdexcept>
#include <string>

namespace sprockets::soak {

inline void Expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

}  // namespace sprockets::soak
