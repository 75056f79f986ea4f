// What the replayer was asked to do: the command line and the environment, parsed and checked once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "replayer/postgres/postgres.h"
#include "replayer/terminal/progress.h"
#include "shared/base/log.h"
#include "shared/base/result.h"
#include "shared/redis/url.h"

namespace sprockets {

struct DrainConfig {
  std::string streams = "*";           // glob: only these
  int64_t rate = 0;                    // events per second; 0: as fast as it goes
  int64_t keep_ms = 24 * 3600 * 1000;  // how long a drained file stays
  int64_t fence_wait_ms = 5000;        // how long to wait where connections cannot be fenced
  int64_t redis_deadline_ms = 5000;    // without a byte moving
  bool follow = false;
  bool force = false;  // with `file`: send what is unproven, too
  bool dry_run = false;
  std::string file;                                         // offer this drained file again
  std::string salvage;                                      // take what is good out of this quarantined file
  std::map<std::string, std::string, std::less<>> renames;  // of streams: OLD to NEW
};

struct ShowConfig {
  std::string file;                   // empty: every file that waits
  std::optional<std::string> stream;  // none: all
  int64_t limit = 0;                  // lines; 0: no limit
};

/// What rebuild, verify, migrate and access share.
struct SetConfig {
  std::filesystem::path folder;        // of the schema set
  std::string only = "*";              // glob over the names of rebuild/*.sql
  int64_t jobs = 4;                    // rebuild: structures at once
  std::string into;                    // rebuild: a drill under this prefix; empty: the live keys
  int64_t postgres_wait_ms = 30'000;   // how long a database may take to wake up
  int64_t redis_deadline_ms = 30'000;  // without a byte moving
  bool dry_run = false;
  bool follow = false;    // rebuild: go on until told to stop
  int64_t poll_ms = 250;  // with `follow`: between two looks for new rows, where no notification comes before
  bool force = false;     // rebuild: past the guards
  bool repair = false;    // verify
};

struct Config {
  enum class Command { kStatus, kShow, kDrain, kMigrate, kRebuild, kVerify, kAccess };

  Command command = Command::kStatus;
  std::optional<RedisUrl> redis;
  std::optional<PostgresUrl> postgres;
  std::filesystem::path spill_dir;
  std::string socket_path;  // the sidecar's; empty: not given
  LogFormat log_format = LogFormat::kText;
  ProgressStyle progress = ProgressStyle::kAuto;
  bool json = false;
  bool check_config = false;  // only say whether the rest is right
  bool watch = false;         // status: again every second
  ShowConfig show;
  DrainConfig drain;
  SetConfig set;
};

/// What to do: run `config`, or, where it holds a text (--help, --version), print that.
struct Invocation {
  Config config;
  std::string text;
};

/// The error is kUsage.
Result<Invocation> ParseCommandLine(int argc, const char* const* argv);

}  // namespace sprockets
