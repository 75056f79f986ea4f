// What a server may answer to the steps of a handshake.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sidecar/core/handshake.h"

namespace sprockets {

inline Handshake::Answer Text(std::string_view text) {
  return {false, text, std::nullopt};
}
inline Handshake::Answer Failure(std::string_view text) {
  return {true, text, std::nullopt};
}
inline Handshake::Answer Integer(int64_t value) {
  return {false, {}, value};
}

}  // namespace sprockets
