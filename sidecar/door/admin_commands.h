// The commands that somebody behind the door answers.
#pragma once

#include "sidecar/core/traffic.h"
#include "sidecar/door/local_commands.h"

namespace sprockets {

class AdminCommands {
 public:
  virtual ~AdminCommands() = default;
  virtual void AnswerStatus(ReplyTo to) = 0;
  virtual void AnswerSeal(ReplyTo to) = 0;
  /// For INFO; the door itself counts its clients.
  virtual ServerInfo Info() const = 0;
};

}  // namespace sprockets
