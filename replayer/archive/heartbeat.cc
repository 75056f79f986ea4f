#include "replayer/archive/heartbeat.h"

#include <algorithm>
#include <chrono>

#include "replayer/redis/server.h"
#include "shared/base/log.h"

namespace sprockets {
namespace {

constexpr int64_t kLeastMs = 10;
constexpr int64_t kBeatsUntilClaimed = 4;

}  // namespace

Heartbeat::Heartbeat(RedisTarget redis, GroupReader& reader, int64_t claim_idle_ms,
                     std::function<std::vector<std::string>()> streams)
    : redis_(std::move(redis)),
      reader_(reader),
      every_ms_(std::max(kLeastMs, claim_idle_ms / kBeatsUntilClaimed)),
      streams_(std::move(streams)) {}

void Heartbeat::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

void Heartbeat::Finish() {
  thread_ = {};
}

void Heartbeat::Loop(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    ended_.wait_for(lock, stop, std::chrono::milliseconds(every_ms_), [] { return false; });
    if (stop.stop_requested()) return;
    const Status beat = Beat();
    if (beat.ok()) continue;
    // That Redis is away, or a group, is told by the thread that reads.
    if (beat.error().code == ErrorCode::kUnreachable) connection_.reset();
    if (beat.error().code == ErrorCode::kUnreachable || beat.error().code == ErrorCode::kNotFound || told_) continue;
    LogWarning("not-kept", {{"why", beat.error().message},
                            {"means", "others may claim entries of a batch that takes longer than --claim-idle"}});
    told_ = true;
  }
}

Status Heartbeat::Beat() {
  const std::vector<std::string> streams = streams_();
  if (streams.empty()) return {};
  if (!connection_) {
    ASSIGN_OR_RETURN(Server server, Server::Connect(redis_.url, redis_.deadline_ms));
    connection_.emplace(std::move(server.client()));
  }
  for (const std::string& stream : streams) RETURN_IF_ERROR(reader_.KeepOwn(*connection_, stream, every_ms_));
  return {};
}

}  // namespace sprockets
