// What the sidecar was told on its command line and in the environment, parsed and checked once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/ahead/placing.h"
#include "shared/base/log.h"
#include "shared/base/result.h"
#include "shared/http/listen_address.h"
#include "shared/redis/url.h"
#include "sidecar/core/skip_rules.h"

namespace sprockets {

struct SidecarConfig {
  enum class Ack { kRedis, kDisk };

  std::string socket;  // the door, at most kMaxSocketPathBytes
  int socket_mode = 0660;
  RedisUrl redis;
  std::string spill_dir;
  Ack ack = Ack::kRedis;           // what an acknowledgement means
  int64_t fsync_interval_ms = 0;   // ack disk: 0 syncs before each answer
  int64_t retain_ms = 86'400'000;  // ack disk: so long may Redis forget what has landed
  PlacingPolicy placing;           // ack disk: what becomes of events that cannot be proven
  int64_t redis_timeout_ms = 250;  // without any progress: of a connect, and of the commands in flight
  std::string event_id_field = "event_id";
  size_t dedupe_window = 100'000;    // events; 0: none is remembered
  std::vector<std::string> streams;  // globs; empty: every stream
  size_t max_streams = 1024;
  size_t max_event_bytes = 1 << 20;
  int64_t max_inflight_bytes = 8 << 20;
  int64_t seal_after_ms = 5'000;  // Redis must have been back for that long
  int64_t fence_wait_ms = 5'000;  // where an earlier connection cannot be killed
  int64_t spill_file_bytes = 256ll << 20;
  int64_t spill_max_bytes = 8ll << 30;
  bool relay = true;                       // commands other than events go to Redis
  size_t relay_connections = 256;          // of clients, to Redis
  std::vector<std::string> relay_allowed;  // commands that pass although they are dangerous
  std::vector<SkipRule> skips;             // writes that PostgreSQL will restore
  std::optional<ListenAddress> admin;      // HTTP for monitors and people; nothing: none
  LogFormat log_format = LogFormat::kText;
};

/// What main is to do.
struct SidecarCommand {
  enum class Kind { kRun, kCheckConfig, kProbe, kPrint } kind = Kind::kRun;
  SidecarConfig config;
  std::string text;  // kPrint: the help or the version
};

/// kUsage names the option and the way out.
Result<SidecarCommand> ParseSidecarCommand(int argc, const char* const* argv);

}  // namespace sprockets
