// What passes between the sidecar and Redis from a connection that stands to one that carries events, and while it is
// probed: handshake, kills, and the record on disk. Pure: it says what to do next, and is told what came of it.
//
//   idle ─ Begin ─► greeting ─► fencing ─► recording ─► ready
//    ▲                 │           │           │          │
//    └─ End, at any failure ───────┴───────────┴──────────┘
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shared/redis/connection_id.h"
#include "shared/redis/fence.h"
#include "shared/redis/url.h"
#include "sidecar/core/handshake.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

class LinkProtocol {
 public:
  /// In RESP, to be sent in one go. TakeAnswer gets the answer to each, in order.
  using Commands = std::vector<std::string>;

  // What to do next. A RecordJob is one, too: TakeRecorded follows.
  struct Wait {};  // for further answers
  struct Kill {
    Commands commands;
  };
  struct Ready {
    ConnectionId self;
    bool earlier_fenced = false;  // no earlier connection can deliver anything any more
    size_t dead = 0;              // connections that were struck off
  };
  struct Probed {
    bool passed = false;
  };
  struct Refused {
    std::string why;
    bool for_ever = false;  // this server can never be used, as the first handshake found
  };
  using Step = std::variant<Wait, Kill, RecordJob, Ready, Probed, Refused>;

  /// `earlier`: connections of earlier lives, written down. `earlier_lost`: there were others that nobody can name.
  LinkProtocol(const RedisUrl& url, std::vector<ConnectionId> earlier, bool earlier_lost);

  /// The connection stands.
  Commands Begin();
  Step TakeAnswer(const Handshake::Answer& answer);
  Step TakeRecorded(const Recorded& recorded);
  /// Does Redis take commands? While ready only.
  Commands Probe();
  /// The connection has gone. What it was told to send has no answers.
  void End() { attempt_ = Idle{}; }

  bool ready() const { return std::holds_alternative<Carrying>(attempt_); }
  /// What the server last said of itself and of our rights.
  const Handshake& server() const { return server_; }

 private:
  struct Idle {};
  struct Greeting {
    size_t answered = 0;
  };
  struct Fencing {
    Fence fence;
  };
  struct Recording {
    Fence fence;
  };
  struct Carrying {
    bool ping_answered = false;  // and INFO not yet, of a probe
  };

  Step Take(const Idle&, const Handshake::Answer& answer);
  Step Take(Greeting& greeting, const Handshake::Answer& answer);
  Step Take(Fencing& fencing, const Handshake::Answer& answer);
  Step Take(const Recording&, const Handshake::Answer& answer);
  Step Take(Carrying& carrying, const Handshake::Answer& answer);
  Step BeginFencing();
  Step BeginRecording(Fence fence);
  ConnectionId Self() const { return {server_.run_id, server_.client_id}; }

  const std::vector<HandshakeStep> steps_;
  std::variant<Idle, Greeting, Fencing, Recording, Carrying> attempt_;
  Handshake server_;
  bool greeted_ = false;                    // some handshake has come to its end
  std::vector<ConnectionId> written_down_;  // as on disk
  bool earlier_lost_;
  int records_pending_ = 0;
};

}  // namespace sprockets
