// The commands that somebody behind the door answers.
#pragma once

#include <span>
#include <string_view>

#include "sidecar/core/traffic.h"
#include "sidecar/door/local_commands.h"

namespace sprockets {

class AdminCommands {
 public:
  virtual ~AdminCommands() = default;
  /// SPROCKETS; `args` stand behind it.
  virtual void Answer(std::span<const std::string_view> args, ReplyTo to) = 0;
  /// For INFO; the door itself counts its clients.
  virtual ServerInfo Info() const = 0;
};

}  // namespace sprockets
