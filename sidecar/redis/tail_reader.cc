#include "sidecar/redis/tail_reader.h"

#include <utility>

#include "shared/ahead/greeting.h"
#include "shared/base/log.h"
#include "shared/redis/error.h"
#include "shared/redis/login.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/replies.h"

namespace sprockets {

namespace {

constexpr int64_t kRetryMs = 500;

}  // namespace

TailReader::TailReader(uv_loop_t* loop, const LoopClock* clock, RedisUrl url, int64_t timeout_ms)
    : clock_(clock), url_(std::move(url)), pipeline_(loop, url_, timeout_ms, this) {}

bool TailReader::ReadTail(const std::string& stream, std::optional<StreamId> before, int64_t count) {
  if (failed_ || clock_->Now() < retry_at_) return false;
  const std::string end = before ? "(" + ToString(*before) : "+";
  const std::string command = MakeCommand({"XREVRANGE", stream, end, "-", "COUNT", std::to_string(count)});
  const bool is_first = asked_.empty() && !connected_;
  asked_.push_back({stream, count});
  if (connected_) {
    pipeline_.Append(command);
  } else {
    unsent_ += command;
  }
  if (is_first) pipeline_.Connect();
  return !failed_;
}

void TailReader::OnConnected() {
  connected_ = true;
  const auto log_in = [this](const std::string& command) {
    pipeline_.Append(command);
    ++logins_owed_;
  };
  if (const std::string login = AuthCommand(url_); !login.empty()) log_in(login);
  if (url_.database != 0) log_in(MakeCommand({"SELECT", std::to_string(url_.database)}));
  log_in(MakeCommand({"INFO"}));
  pipeline_.Append(std::exchange(unsent_, {}), asked_.size());
}

void TailReader::OnReply(const redisReply& reply) {
  if (logins_owed_ == 0) {
    const Asked asked = std::move(asked_.front());
    asked_.pop_front();
    return TakeEntries(asked, reply);
  }
  --logins_owed_;
  if (reply.type == REDIS_REPLY_ERROR)
    return Fail("the login is refused: " + std::string(WithoutArguments(TextIn(reply))));
  // A replica may lack what its master has.
  if (reply.type != REDIS_REPLY_STRING) return;
  if (const auto why = NoMaster(TextIn(reply))) Fail(*why);
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

void TailReader::Fail(std::string_view why) {
  pipeline_.Close();
  connected_ = false;
  logins_owed_ = 0;
  unsent_.clear();
  asked_.clear();
  failed_ = true;
  retry_at_ = {clock_->Now().ms + kRetryMs};
  if (last_failure_ != why) LogWarning("streams-not-read", {{"server", url_.ForLogs()}, {"why", why}});
  last_failure_ = why;
}

void TailReader::EndTurn() {
  if (std::exchange(failed_, false)) acceptor_->OnTailsAway();
  pipeline_.Flush();
  if (!connected_ || !asked_.empty() || logins_owed_ > 0) return;
  pipeline_.Close();
  connected_ = false;
}

}  // namespace sprockets
