// The sidecar speaks RESP, so it is asked like a Redis.
#include "replayer/drain/sidecar_door.h"

#include <string_view>

#include "replayer/redis/client.h"

namespace sprockets {
namespace {

constexpr int64_t kStatusDeadlineMs = 5'000;
constexpr int64_t kSealDeadlineMs = 30'000;  // a large file has to reach the disk

Result<std::string> Ask(const std::string& socket_path, std::string_view verb, int64_t deadline_ms, const Dial& dial) {
  RedisUrl url;
  url.socket_path = socket_path;
  const std::string context = "SPROCKETS " + std::string(verb);
  auto client = RedisClient::Connect(url, deadline_ms, dial);
  if (!client.ok()) return std::move(client).error().Prefixed(context);
  auto reply = client.value().Call({"SPROCKETS", verb});
  if (!reply.ok()) return std::move(reply).error().Prefixed(context);
  std::string text(TextOf(*reply.value()));
  if (IsError(*reply.value())) return Error{ErrorCode::kRefused, context + ": " + text};
  return text;
}

}  // namespace

Result<std::string> AskSidecarForStatus(const std::string& socket_path, const Dial& dial) {
  return Ask(socket_path, "STATUS", kStatusDeadlineMs, dial);
}

Status AskSidecarToSeal(const std::string& socket_path, const Dial& dial) {
  const Result<std::string> answer = Ask(socket_path, "SEAL", kSealDeadlineMs, dial);
  return answer.ok() ? Status() : Status(answer.error());
}

}  // namespace sprockets
