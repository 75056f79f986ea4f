// What the sidecar asks of Redis on every new connection before an event goes over it, and what the answers mean. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/url.h"

namespace sprockets {

/// One command of the handshake, in RESP; they are sent in one go.
struct HandshakeStep {
  enum class Kind { kAuth, kSelect, kName, kInfo, kClientId, kMayKill, kMayRange, kMayXinfo, kAppendFsync } kind;
  std::string command;
};
std::vector<HandshakeStep> HandshakeSteps(const RedisUrl& url);

/// What is left of what Redis has acknowledged, when Redis or its machine crashes.
enum class Durability {
  kUnknown,      // it cannot be asked
  kNone,         // appendonly no: what came since the last snapshot is lost
  kEverySecond,  // up to a second may be lost; or more, with appendfsync no
  kAlways,       // all of it: what the promise rests on
};
/// "unknown", "none", "everysec", "always".
std::string_view NameOf(Durability durability);
/// What that means for an acknowledged event, in a sentence.
std::string_view MeaningOf(Durability durability);

/// The answers, gathered one by one.
struct Handshake {
  // Not usable now: why, in Redis's words. Events spill, and it is tried again.
  std::string refusal;
  bool cluster = false;  // never usable: hash slots are not ours to know

  std::string run_id;          // empty: INFO is not allowed
  std::string replication_id;  // master_replid: another one after a promotion, where run_id stays
  std::string version;
  int64_t client_id = 0;  // 0: CLIENT ID is not allowed
  bool may_kill = false;
  bool may_range = true;
  bool may_xinfo = true;
  std::string aof_enabled;   // as INFO has it; empty: unknown
  std::string append_fsync;  // as CONFIG GET has it; empty: not allowed

  struct Answer {
    bool is_error = false;
    std::string_view text;  // of an error, a status or a bulk string; of a list, its last one
    std::optional<int64_t> integer;
  };
  void Take(HandshakeStep::Kind kind, const Answer& answer);
  /// What INFO says about a server: a refusal if it is not a master that takes commands.
  void TakeInfo(std::string_view info);

  /// Earlier connections of this server can be told apart and killed.
  bool can_fence() const { return may_kill && !run_id.empty() && client_id != 0; }
  Durability durability() const;
  /// One line on what this user may not do and what that costs; empty: nothing is missing.
  std::string MissingRights() const;
};

}  // namespace sprockets
