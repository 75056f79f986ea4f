#include "replayer/ahead/link.h"

#include <utility>

#include "replayer/redis/answer.h"
#include "shared/base/clock.h"

namespace sprockets {

Status AheadLink::Connect() {
  Result<RedisClient> client = RedisClient::Connect(target_.url, target_.deadline_ms, dial_);
  if (!client.ok()) {
    why_ = client.error().message;
    return client.error();
  }
  client_.emplace(std::move(client).value());
  return {};
}

void AheadLink::Send(std::string_view commands, size_t answers) {
  if (!client_) return;
  sent_.push_back({std::string(commands), answers});
  awaited_ += answers;
  client_->Queue(sent_.back().commands);
}

void AheadLink::Receive(Forwarder* forwarder) {
  const Result<RedisClient::Reply> reply = client_->Receive();
  if (!reply.ok()) {
    const bool by_server = client_->closed_by_server();
    Close(reply.error().message);
    return forwarder->OnDisconnected(by_server);
  }
  --awaited_;
  if (--sent_.front().answers == 0) sent_.pop_front();
  const RedisAnswer answer = AnswerOf(*reply.value());
  // What was told when a command was queued says more than the end of its transaction.
  if (answer.is_error() && !answer.text.starts_with("EXECABORT")) why_ = answer.text;
  forwarder->OnAnswer(answer, {SteadyClockMs()});
}

void AheadLink::Close(std::string_view why) {
  why_ = why;
  client_.reset();
  sent_.clear();
  awaited_ = 0;
}

}  // namespace sprockets
