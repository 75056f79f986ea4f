#include "sidecar/core/link_protocol.h"

#include <utility>

#include "shared/base/result.h"
#include "shared/redis/resp.h"

namespace sprockets {

LinkProtocol::LinkProtocol(const RedisUrl& url, std::vector<ConnectionId> earlier, bool earlier_lost)
    : steps_(HandshakeSteps(url)), written_down_(std::move(earlier)), earlier_lost_(earlier_lost) {}

LinkProtocol::Commands LinkProtocol::Begin() {
  attempt_ = Greeting{};
  server_ = {};
  Commands commands;
  for (const HandshakeStep& step : steps_) commands.push_back(step.command);
  return commands;
}

LinkProtocol::Step LinkProtocol::TakeAnswer(const Handshake::Answer& answer) {
  return std::visit([&](auto& attempt) { return Take(attempt, answer); }, attempt_);
}

LinkProtocol::Step LinkProtocol::Take(Greeting& greeting, const Handshake::Answer& answer) {
  server_.Take(steps_[greeting.answered].kind, answer);
  if (++greeting.answered < steps_.size()) return Wait{};
  const bool is_first = !std::exchange(greeted_, true);
  if (!server_.refusal.empty()) return Refused{server_.refusal, is_first && server_.cluster};
  return BeginFencing();
}

LinkProtocol::Step LinkProtocol::BeginFencing() {
  Fence fence(written_down_, Self(), server_.can_fence());
  if (fence.answered()) return BeginRecording(std::move(fence));
  Kill kill;
  for (const ConnectionId& connection : fence.to_kill())
    kill.commands.push_back(MakeCommand({"CLIENT", "KILL", "ID", std::to_string(connection.client_id)}));
  attempt_ = Fencing{std::move(fence)};
  return kill;
}

LinkProtocol::Step LinkProtocol::Take(Fencing& fencing, const Handshake::Answer& answer) {
  fencing.fence.TakeAnswer(answer.integer.has_value());
  if (!fencing.fence.answered()) return Wait{};
  return BeginRecording(std::move(fencing.fence));
}

LinkProtocol::Step LinkProtocol::BeginRecording(Fence fence) {
  ++records_pending_;
  RecordJob job{Self(), fence.dead()};
  attempt_ = Recording{std::move(fence)};
  return job;
}

// Nobody has asked.
LinkProtocol::Step LinkProtocol::Take(const Idle&, const Handshake::Answer&) {
  SPROCKETS_ASSERT(false);
  return Wait{};
}

LinkProtocol::Step LinkProtocol::Take(const Recording&, const Handshake::Answer&) {
  SPROCKETS_ASSERT(false);
  return Wait{};
}

LinkProtocol::Step LinkProtocol::TakeRecorded(const Recorded& recorded) {
  --records_pending_;
  if (recorded.ok) {
    written_down_ = recorded.connections;
    earlier_lost_ = recorded.connections_lost;
  }
  const auto* recording = std::get_if<Recording>(&attempt_);
  if (recording == nullptr || records_pending_ > 0) return Wait{};  // the answer to an attempt that broke meanwhile
  if (!recorded.ok) return Refused{"saving the connection's id to disk: " + recorded.why};
  const Fence& fence = recording->fence;
  Ready ready{Self(), fence.IsComplete(written_down_, earlier_lost_), fence.dead().size()};
  attempt_ = Carrying{};
  return ready;
}

LinkProtocol::Commands LinkProtocol::Probe() {
  SPROCKETS_ASSERT(ready());
  return {MakeCommand({"PING"}), MakeCommand({"INFO"})};
}

LinkProtocol::Step LinkProtocol::Take(Carrying& carrying, const Handshake::Answer& answer) {
  carrying.ping_answered = !carrying.ping_answered;
  if (carrying.ping_answered) {
    server_.refusal = answer.is_error ? answer.text : "";
    return Wait{};
  }
  if (server_.refusal.empty() && !answer.is_error) {
    const std::string run_id = server_.run_id;
    server_.TakeInfo(answer.text);
    if (server_.run_id != run_id) return Refused{"a proxy has connected us to another server"};
  }
  return Probed{server_.refusal.empty()};
}

}  // namespace sprockets
