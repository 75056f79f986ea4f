// What the door remembers of one client. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace sprockets {

struct ClientInfo {
  enum class Transaction {
    kNone,
    kOpen,     // Redis queues its commands
    kRefused,  // something of it was refused, or its connection was lost: nothing of it may be executed, up to its end
  };

  int64_t id = 0;
  std::string name;  // CLIENT SETNAME
  int protocol = 2;  // RESP
  Transaction transaction = Transaction::kNone;
  bool watches = false;      // WATCH, on the connection that stands
  bool watch_lost = false;   // WATCH, on one that was lost: the next transaction must not be executed
  bool tracks = false;       // CLIENT TRACKING
  int protocol_at_exec = 0;  // HELLO inside a transaction; 0: none
};

}  // namespace sprockets
