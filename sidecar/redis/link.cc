#include "sidecar/redis/link.h"

#include <algorithm>
#include <array>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/replies.h"

namespace sprockets {

namespace {

constexpr size_t kFlushBytes = 128 * 1024;
constexpr int64_t kIdleMs = 400;       // then a PING keeps the connection alive
constexpr int64_t kSteadyMs = 10'000;  // a connection that stood that long was a good one: the next backoff begins anew

}  // namespace

RedisLink::RedisLink(uv_loop_t* loop, Options options, std::vector<ConnectionId> earlier, bool earlier_lost,
                     RedisLinkEvents* events)
    : loop_(loop),
      options_(std::move(options)),
      events_(events),
      retry_timer_(loop, [this] { Connect(); }),
      probe_timer_(loop, [this] { Probe(); }),
      keep_alive_timer_(loop, [this] { KeepAlive(); }),
      random_(std::random_device{}()),
      pipeline_(loop, options_.url, options_.timeout_ms, this),
      protocol_(options_.url, std::move(earlier), earlier_lost) {}

void RedisLink::Start() {
  keep_alive_timer_.Start(kIdleMs, kIdleMs);
  Connect();
}

void RedisLink::Stop(bool abandon) {
  stopping_ = true;
  retry_timer_.Stop();
  probe_timer_.Stop();
  if (abandon || state_ != State::kReady) Fail("stopping");
}

// ---- Connecting

void RedisLink::Connect() {
  state_ = State::kConnecting;
  pipeline_.Connect();
}

void RedisLink::OnConnected() {
  state_ = State::kPreparing;
  Ask(protocol_.Begin());
}

// ---- What the protocol says

void RedisLink::Ask(const LinkProtocol::Commands& commands) {
  for (const std::string& command : commands) Command(command, {.kind = Awaited::Kind::kProtocol});
}

void RedisLink::Follow(const LinkProtocol::Step& step) {
  std::visit([this](const auto& each) { Do(each); }, step);
}

void RedisLink::Do(const LinkProtocol::Kill& kill) {
  LogMissingRights();
  Ask(kill.commands);
}

void RedisLink::Do(const RecordJob& job) {
  LogMissingRights();
  events_->RecordConnection(job);
}

void RedisLink::Do(const LinkProtocol::Ready& ready) {
  state_ = State::kReady;
  ready_since_ms_ = Now();
  last_failure_.clear();
  LogInfo("redis-ready", {{"server", options_.url.ForLogs()},
                          {"version", protocol_.server().version},
                          {"fenced", ready.dead},
                          {"durability", NameOf(protocol_.server().durability())}});
  LogDurability();
  events_->OnLinkReady(ready.self, ready.earlier_fenced);
}

void RedisLink::Do(const LinkProtocol::Probed& probed) {
  events_->OnProbe(probed.passed);
  if (!probed.passed) ProbeLater();
}

void RedisLink::Do(const LinkProtocol::Refused& refused) {
  Fail(refused.why);
  if (refused.for_ever) events_->OnUnusable(refused.why);
}

// Once for each change. What Redis forgets after it has acknowledged it is nobody's to bring back.
void RedisLink::LogDurability() {
  const Durability durability = protocol_.server().durability();
  if (durability == std::exchange(last_durability_, durability) || durability == Durability::kAlways) return;
  LogWarning("redis-durability", {{"durability", NameOf(durability)}, {"meaning", MeaningOf(durability)}});
}

// Once for each change of what is missing.
void RedisLink::LogMissingRights() {
  const std::string missing = protocol_.server().MissingRights();
  if (missing != last_missing_rights_ && !missing.empty()) LogWarning("redis-rights-missing", {{"missing", missing}});
  last_missing_rights_ = missing;
}

// ---- Loss

// Ends the connection from our side. Must not be called in OnConnected.
void RedisLink::Fail(std::string_view why) {
  pipeline_.Close();
  Lost(why);
}

void RedisLink::Lost(std::string_view why) {
  const bool was_idle = awaited_.empty() && Now() - ready_since_ms_ > kIdleMs;
  const bool was_ready = state_ == State::kReady;
  if (was_ready && Now() - ready_since_ms_ > kSteadyMs) backoff_.Reset();
  state_ = stopping_ ? State::kStopped : State::kWaiting;
  protocol_.End();
  ready_since_ms_ = 0;
  awaited_.clear();
  probe_timer_.Stop();
  if (was_ready || last_failure_ != why)
    LogWarning(was_ready ? "redis-lost" : "redis-not-ready", {{"server", options_.url.ForLogs()}, {"why", why}});
  last_failure_ = why;
  // One that was let go for its idleness is no sign of trouble.
  if (!stopping_) retry_timer_.Start(was_ready && was_idle ? 0 : backoff_.NextMs(random_()));
  if (was_ready) events_->OnLinkLost();
}

// ---- Commands

void RedisLink::Command(std::string_view wire, Awaited awaited) {
  pipeline_.Append(wire);
  if (awaited.kind == Awaited::Kind::kXadds && !awaited_.empty() && awaited_.back().kind == awaited.kind) {
    ++awaited_.back().replies;
  } else {
    awaited_.push_back(awaited);
  }
}

void RedisLink::OnReply(const redisReply& reply) {
  const Awaited asked = awaited_.front();
  if (--awaited_.front().replies == 0) awaited_.pop_front();
  switch (asked.kind) {
    case Awaited::Kind::kXadds:
      return OnXaddReply(reply);
    case Awaited::Kind::kProtocol:
      return Follow(protocol_.TakeAnswer(AnswerIn(reply)));
    case Awaited::Kind::kTail:
      return OnTailReply(asked, reply);
    case Awaited::Kind::kKeepAlive:
      return;
  }
}

void RedisLink::Send(const std::string& xadd) {
  SPROCKETS_ASSERT(state_ == State::kReady);
  Command(xadd, {.kind = Awaited::Kind::kXadds});
  // Redis begins with the first part of a turn's commands while the rest is still being read.
  if (pipeline_.unwritten_bytes() > kFlushBytes) pipeline_.Flush();
}

void RedisLink::OnXaddReply(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_STRING:
      backoff_.Reset();
      probe_backoff_.Reset();
      events_->OnLanded(TextIn(reply));
      break;
    case REDIS_REPLY_NIL:
      events_->OnNil();
      break;
    case REDIS_REPLY_ERROR:
      events_->OnXaddError(TextIn(reply));
      break;
    default:
      events_->OnXaddError("the answer to an XADD is not an entry id");
      break;
  }
}

void RedisLink::ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) {
  SPROCKETS_ASSERT(state_ == State::kReady);
  const std::string end = before ? "(" + ToString(*before) : "+";
  const std::string count_text = std::to_string(count);
  Command(MakeCommand({"XREVRANGE", stream.name, end, "-", "COUNT", count_text}),
          {.kind = Awaited::Kind::kTail, .stream = &stream, .most_entries = count});
}

void RedisLink::OnTailReply(const Awaited& asked, const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) return events_->OnTailError(*asked.stream, TextIn(reply));
  const auto entries = EntriesIn(reply);
  if (!entries) return events_->OnTailError(*asked.stream, "the answer to an XREVRANGE is not a list of entries");
  const bool more = entries->size() == static_cast<size_t>(asked.most_entries);
  events_->OnTail(*asked.stream, *entries, more);
}

void RedisLink::ProbeLater() {
  if (state_ == State::kReady && !probe_timer_.active()) probe_timer_.Start(probe_backoff_.NextMs(random_()));
}

void RedisLink::Probe() {
  if (state_ == State::kReady) Ask(protocol_.Probe());
}

void RedisLink::Flush() {
  pipeline_.Flush();
}

// Redis closes what is idle for longer than its `timeout`, which may be as short as a second.
void RedisLink::KeepAlive() {
  if (state_ == State::kReady && awaited_.empty()) Command("*1\r\n$4\r\nPING\r\n", {.kind = Awaited::Kind::kKeepAlive});
}

}  // namespace sprockets
