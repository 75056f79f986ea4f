// One connection to one life of a Redis server: what a fence (CLIENT KILL ID) is aimed at. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace sprockets {

/// Client ids start again with the server, so an id means nothing without the server's run_id.
struct ConnectionId {
  std::string run_id;  // INFO's run_id, 40 hex digits
  int64_t client_id = 0;

  auto operator<=>(const ConnectionId&) const = default;
};

}  // namespace sprockets
