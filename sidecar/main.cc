#include <cstdio>
#include <malloc.h>
#include <string>

#include "shared/base/log.h"
#include "shared/base/options.h"
#include "shared/base/process.h"
#include "shared/base/text.h"
#include "sidecar/config.h"
#include "sidecar/delivery/facts.h"
#include "sidecar/redis/probe.h"
#include "sidecar/sidecar.h"

namespace sprockets {
namespace {

constexpr int kKeptHeapBytes = 4 << 20;

std::string MissingForJournal(const ProbedRedis& redis) {
  std::string missing;
  const auto add = [&](bool may, std::string_view what) {
    if (!may) missing.append(missing.empty() ? "" : "; ").append(what);
  };
  add(redis.server.may_xinfo, "XINFO: no stream can be placed, so nothing is sent");
  add(redis.may_xrange, "XRANGE: an event that another writer's entry may have overtaken cannot be looked for");
  add(redis.server.may_range,
      "XREVRANGE: after a change from --ack redis an event that a client sends again may be stored twice");
  add(redis.may_guard,
      "SET and WATCH of the key sprockets:guard: a replaced dataset is noticed only if it closes "
      "connections");
  return missing;
}

int Probe(const SidecarConfig& config) {
  const bool is_journal = config.ack == SidecarConfig::Ack::kDisk;
  const ProbedRedis redis = ProbeRedis(config.redis, config.redis_timeout_ms, is_journal);
  const std::string server = config.redis.ForLogs();
  if (redis.verdict != ProbedRedis::Verdict::kUsable) {
    const bool refused = redis.verdict == ProbedRedis::Verdict::kRefused;
    std::fprintf(stderr, "redis: %s %s: %s\n", server.c_str(), refused ? "cannot be used" : "does not answer",
                 redis.why.c_str());
    return refused ? kSidecarRefused : kSidecarUnusable;
  }
  if (redis.server.run_id.empty()) {
    std::printf("redis: %s answers; without INFO nobody knows whether it is a master\n", server.c_str());
  } else {
    std::printf("redis: %s answers, is a master and takes the login; version %s\n", server.c_str(),
                Escape(redis.server.version).c_str());
  }
  const std::string_view meaning = is_journal ? kMeaningOfJournal : MeaningOf(redis.server.durability());
  std::printf("an acknowledgement: %s\n", std::string(meaning).c_str());
  const std::string missing = is_journal ? MissingForJournal(redis) : redis.server.MissingRights();
  if (!missing.empty()) std::printf("missing rights: %s\n", missing.c_str());
  std::puts("the configuration is valid");
  return kSidecarStopped;
}

}  // namespace
}  // namespace sprockets

int main(int argc, char** argv) {
  using namespace sprockets;
  PrepareProcess();
  const auto command = ParseSidecarCommand(argc, argv);
  if (!command.ok()) {
    std::fputs(UsageLine("sprockets-sidecar", command.error()).c_str(), stderr);
    return kSidecarUsage;
  }
  switch (command.value().kind) {
    case SidecarCommand::Kind::kPrint:
      std::fputs(command.value().text.c_str(), stdout);
      return kSidecarStopped;
    case SidecarCommand::Kind::kCheckConfig:
      std::puts("the configuration is valid");
      return kSidecarStopped;
    case SidecarCommand::Kind::kProbe:
      return Probe(command.value().config);
    case SidecarCommand::Kind::kRun:
      break;
  }
  InitLog(command.value().config.log_format);
  LogInBackground();
  // What a turn of the loop or a batch frees, the next one needs again: without this it goes back to the system each
  // time.
  mallopt(M_TRIM_THRESHOLD, kKeptHeapBytes);
  mallopt(M_MMAP_THRESHOLD, kKeptHeapBytes);
  const int exit_code = Sidecar(command.value().config).Run();
  FlushLog(/*patience_ms=*/1000);
  return exit_code;
}
