#include "sidecar/redis/tail_reader.h"

#include <utility>
#include <variant>

#include "shared/base/log.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/replies.h"

namespace sprockets {

namespace {

constexpr int64_t kRetryMs = 500;
constexpr int64_t kKeepAliveMs = 200;

}  // namespace

TailReader::TailReader(uv_loop_t* loop, const LoopClock* clock, Options options)
    : clock_(clock),
      options_(std::move(options)),
      fence_wait_(loop, [this] { WaitForEarlier(); }),
      pipeline_(loop, options_.url, options_.timeout_ms, this) {}

void TailReader::Stop() {
  fence_wait_.Stop();
  pipeline_.Close();
}

bool TailReader::ReadTail(const std::string& stream, std::optional<StreamId> before, int64_t count) {
  if (failed_ || clock_->Now() < retry_at_) return false;
  const std::string end = before ? "(" + ToString(*before) : "+";
  waiting_.push_back({stream, MakeCommand({"XREVRANGE", stream, end, "-", "COUNT", std::to_string(count)}), count});
  if (!std::exchange(connecting_, true)) pipeline_.Connect();
  SendWaiting();
  return !failed_;
}

void TailReader::Send(Asked asked) {
  pipeline_.Append(asked.command);
  asked_.push_back(std::move(asked));
}

void TailReader::SendWaiting() {
  if (!fenced()) return;
  for (Asked& asked : std::exchange(waiting_, {})) Send(std::move(asked));
}

// ---- Connecting

void TailReader::OnConnected() {
  Ask(protocol_.emplace(options_.url, options_.earlier, options_.earlier_lost).Begin());
}

void TailReader::Ask(const LinkProtocol::Commands& commands) {
  for (const std::string& command : commands) pipeline_.Append(command);
}

void TailReader::Follow(const LinkProtocol::Step& step) {
  std::visit([this](const auto& each) { Do(each); }, step);
}

void TailReader::Do(const LinkProtocol::Kill& kill) {
  Ask(kill.commands);
}

// This connection carries no event, so it need not be written down. Nor is anything struck off: what is dead for this
// server may live for the next one, to which the same address leads.
void TailReader::Do(const RecordJob&) {
  Follow(protocol_->TakeRecorded(
      {.ok = true, .why = {}, .connections = options_.earlier, .connections_lost = options_.earlier_lost}));
}

void TailReader::Do(const LinkProtocol::Ready& ready) {
  if (ready.earlier_fenced) fenced_in_ = ready.self.run_id;
  ready_at_ = clock_->Now();
  if (!fenced()) fence_wait_.Start(kKeepAliveMs, kKeepAliveMs);
  SendWaiting();
}

// Redis must go on answering meanwhile: as long as it hangs, what it was sent earlier is not read either.
void TailReader::WaitForEarlier() {
  if (clock_->Now().ms - ready_at_.ms < options_.fence_wait_ms) return Send({{}, MakeCommand({"PING"}), 0});
  fence_wait_.Stop();
  fenced_in_ = protocol_->server().run_id;
  SendWaiting();
}

void TailReader::OnReply(const redisReply& reply) {
  if (!ready()) return Follow(protocol_->TakeAnswer(AnswerIn(reply)));
  const Asked asked = std::move(asked_.front());
  asked_.pop_front();
  if (!asked.stream.empty()) TakeEntries(asked, reply);
}

// A stream that we may not read, or a key that is none, is done without: so does --ack redis.
void TailReader::TakeEntries(const Asked& asked, const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR && ClassifyRedisError(TextIn(reply)) == RefusalScope::kServer)
    return Fail(TextIn(reply));
  const auto entries = EntriesIn(reply);
  if (entries) {
    last_failure_.clear();
    return acceptor_->OnTail(asked.stream, *entries, entries->size() == static_cast<size_t>(asked.count));
  }
  LogWarning("stream-not-read", {{"stream", asked.stream},
                                 {"why", reply.type == REDIS_REPLY_ERROR ? TextIn(reply) : "not a list of entries"},
                                 {"cost", "an event of --ack redis that is sent again may be stored twice"}});
  acceptor_->OnTailRefused(asked.stream);
}

void TailReader::Close() {
  pipeline_.Close();
  protocol_.reset();
  fence_wait_.Stop();
  connecting_ = false;
}

void TailReader::Fail(std::string_view why) {
  if (last_failure_ != why) LogWarning("streams-not-read", {{"server", options_.url.ForLogs()}, {"why", why}});
  last_failure_ = why;
  Close();
  waiting_.clear();
  asked_.clear();
  failed_ = true;
  retry_at_ = {clock_->Now().ms + kRetryMs};
}

void TailReader::EndTurn() {
  if (std::exchange(failed_, false)) acceptor_->OnTailsAway();
  pipeline_.Flush();
  if (ready() && asked_.empty() && waiting_.empty()) Close();
}

}  // namespace sprockets
