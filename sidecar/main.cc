#include <cstdio>
#include <malloc.h>
#include <string>

#include "shared/base/log.h"
#include "shared/base/options.h"
#include "shared/base/process.h"
#include "shared/base/text.h"
#include "sidecar/config.h"
#include "sidecar/redis/probe.h"
#include "sidecar/sidecar.h"

namespace sprockets {
namespace {

constexpr int kKeptHeapBytes = 4 << 20;

int Probe(const SidecarConfig& config) {
  const ProbedRedis redis = ProbeRedis(config.redis, config.redis_timeout_ms);
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
  std::printf("an acknowledgement: %s\n", std::string(MeaningOf(redis.server.durability())).c_str());
  const std::string missing = redis.server.MissingRights();
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
