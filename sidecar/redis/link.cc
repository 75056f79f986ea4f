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

bool IsNumericHost(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return uv_inet_pton(AF_INET, host.c_str(), address.data()) == 0 ||
         uv_inet_pton(AF_INET6, host.c_str(), address.data()) == 0;
}

}  // namespace

RedisLink::RedisLink(uv_loop_t* loop, Options options, std::vector<ConnectionId> earlier, bool earlier_lost,
                     RedisLinkEvents* events)
    : loop_(loop),
      options_(std::move(options)),
      events_(events),
      retry_timer_(loop, [this] { Connect(); }),
      probe_timer_(loop, [this] { Probe(); }),
      deadline_timer_(loop, [this] { OnDeadline(); }),
      keep_alive_timer_(loop, [this] { KeepAlive(); }),
      random_(std::random_device{}()),
      pipeline_(loop, this),
      protocol_(options_.url, std::move(earlier), earlier_lost) {}

RedisLink::~RedisLink() {
  if (resolving_ != nullptr) {
    resolving_->data = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(resolving_));
  }
}

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
  if (!options_.url.socket_path.empty()) {
    address_ = options_.url.socket_path;
    return Adopt(redisAsyncConnectUnix(address_.c_str()));
  }
  if (IsNumericHost(options_.url.host)) return ConnectTo(options_.url.host);
  Resolve();
}

// Off the loop: a name server that does not answer must not stop anything.
void RedisLink::Resolve() {
  if (resolving_ != nullptr) return;  // the last attempt is still on its way and will go on from there
  state_ = State::kResolving;
  resolving_ = new uv_getaddrinfo_t;
  resolving_->data = this;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const auto done = [](uv_getaddrinfo_t* request, int status, addrinfo* addresses) {
    auto* link = static_cast<RedisLink*>(request->data);
    delete request;
    if (link != nullptr) link->OnResolved(status, addresses);
    uv_freeaddrinfo(addresses);
  };
  const int error = uv_getaddrinfo(loop_, resolving_, done, options_.url.host.c_str(), nullptr, &hints);
  if (error != 0) {
    delete std::exchange(resolving_, nullptr);
    Lost(std::string("resolving the host's name: ") + uv_strerror(error));
  }
}

void RedisLink::OnResolved(int status, addrinfo* addresses) {
  resolving_ = nullptr;
  if (stopping_) return;
  if (status != 0) return Lost(std::string("resolving the host's name: ") + uv_strerror(status));
  addresses_.clear();
  for (const addrinfo* address = addresses; address != nullptr; address = address->ai_next) {
    std::array<char, 64> text{};
    if (address->ai_family == AF_INET) {
      uv_ip4_name(reinterpret_cast<const sockaddr_in*>(address->ai_addr), text.data(), text.size());
    } else {
      uv_ip6_name(reinterpret_cast<const sockaddr_in6*>(address->ai_addr), text.data(), text.size());
    }
    addresses_.emplace_back(text.data());
  }
  if (addresses_.empty()) return Lost("resolving the host's name: it has no address");
  ConnectToNext();
}

void RedisLink::ConnectToNext() {
  const std::string address = std::move(addresses_.front());
  addresses_.pop_front();
  ConnectTo(address);
}

void RedisLink::ConnectTo(const std::string& host) {
  address_ = host;
  Adopt(redisAsyncConnect(host.c_str(), options_.url.port));
}

void RedisLink::Adopt(redisAsyncContext* context) {
  const std::string failure = pipeline_.Open(context);
  if (!failure.empty()) return Lost(failure);
  state_ = State::kConnecting;
  StartDeadline();
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
  // A name may stand for several addresses, of which Redis listens on one.
  if (state_ == State::kConnecting && !addresses_.empty() && !stopping_) return ConnectToNext();
  const bool was_idle = awaited_.empty() && Now() - ready_since_ms_ > kIdleMs;
  const bool was_ready = state_ == State::kReady;
  if (was_ready && Now() - ready_since_ms_ > kSteadyMs) backoff_.Reset();
  state_ = stopping_ ? State::kStopped : State::kWaiting;
  protocol_.End();
  ready_since_ms_ = 0;
  awaited_.clear();
  deadline_timer_.Stop();
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
  if (awaited_.empty()) StartDeadline();
  pipeline_.Append(wire);
  if (awaited.kind == Awaited::Kind::kXadds && !awaited_.empty() && awaited_.back().kind == awaited.kind) {
    ++awaited_.back().replies;
  } else {
    awaited_.push_back(awaited);
  }
}

void RedisLink::OnReply(const redisReply& reply) {
  // What nobody asked for is Redis's farewell: too many clients, for one.
  if (awaited_.empty()) return Fail(TextIn(reply));
  progress_ms_ = Now();
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

// ---- Deadlines: no connection may owe us answers and give none for longer than the timeout

void RedisLink::StartDeadline() {
  progress_ms_ = Now();
  arrivals_ = pipeline_.arrivals();
  if (!deadline_timer_.active()) deadline_timer_.Start(options_.timeout_ms);
}

void RedisLink::OnDeadline() {
  if (!pipeline_.is_open() || AwaitsNothing()) return;
  int64_t left = progress_ms_ + options_.timeout_ms - Now();
  if (left <= 0 && state_ != State::kConnecting) {
    // It may be we who were stopped: what has arrived meanwhile counts.
    const bool is_arriving = AnswerIsArriving();
    pipeline_.Read();
    if (!pipeline_.is_open() || AwaitsNothing()) return;
    if (is_arriving) progress_ms_ = Now();
    left = progress_ms_ + options_.timeout_ms - Now();
  }
  if (left > 0) return deadline_timer_.Start(left);
  Fail(state_ == State::kConnecting ? "no connection within --redis-timeout" : "no answer within --redis-timeout");
}

// A large reply that comes in pieces is progress, too.
bool RedisLink::AnswerIsArriving() {
  if (pipeline_.HasUnread()) return true;
  const uint64_t arrivals = pipeline_.arrivals();
  return arrivals != std::exchange(arrivals_, arrivals);
}

// Redis closes what is idle for longer than its `timeout`, which may be as short as a second.
void RedisLink::KeepAlive() {
  if (state_ == State::kReady && awaited_.empty()) Command("*1\r\n$4\r\nPING\r\n", {.kind = Awaited::Kind::kKeepAlive});
}

}  // namespace sprockets
