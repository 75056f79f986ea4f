#include "sidecar/redis/link.h"

#include <algorithm>
#include <array>
#include <sys/ioctl.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/replies.h"
#include "sidecar/redis/reply_objects.h"

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

struct RedisLink::TailRequest {
  StreamState* stream;
  int64_t count;
};

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
      protocol_(options_.url, std::move(earlier), earlier_lost) {}

RedisLink::~RedisLink() {
  Release();
  if (resolving_ != nullptr) {
    resolving_->data = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(resolving_));
  }
}

RedisLink* RedisLink::From(const redisAsyncContext* context) {
  return static_cast<RedisLink*>(context->data);
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
  if (context == nullptr) return Lost("out of memory");
  if (context->err != 0) {
    const std::string why = context->errstr;
    redisAsyncFree(context);
    return Lost(why);
  }
  poll_ = RedisPoll::Attach(context, loop_);
  if (poll_ == nullptr) {
    redisAsyncFree(context);
    return Lost("cannot watch the socket");
  }
  context->c.reader->fn = ReplyObjects();
  context_ = context;
  context_->data = this;
  state_ = State::kConnecting;
  awaited_ = 0;
  redisAsyncSetConnectCallback(context, [](const redisAsyncContext* c, int status) {
    if (RedisLink* link = From(c)) link->OnConnected(status);
  });
  redisAsyncSetDisconnectCallback(context, [](const redisAsyncContext* c, int) {
    if (RedisLink* link = From(c)) link->OnDisconnected();
  });
  Expect();  // of the connection itself
}

void RedisLink::OnConnected(int status) {
  if (status != REDIS_OK) {
    // hiredis frees the context when we return.
    const std::string why = context_->errstr;
    context_->data = nullptr;
    context_ = nullptr;
    poll_ = nullptr;
    return Lost(why);
  }
  OnProgress();
  state_ = State::kPreparing;
  Ask(protocol_.Begin());
}

void RedisLink::OnDisconnected() {
  const std::string why = context_->err != 0 ? context_->errstr : "closed";
  context_ = nullptr;
  poll_ = nullptr;
  Lost(why);
}

// ---- What the protocol says

template <void (RedisLink::*Handler)(const redisReply&)>
void RedisLink::Dispatch(redisAsyncContext* context, void* reply, void*) {
  RedisLink* link = From(context);
  if (link == nullptr || reply == nullptr) return;  // the loss of the connection is told elsewhere, once
  link->OnProgress();
  (link->*Handler)(*static_cast<redisReply*>(reply));
}

void RedisLink::Ask(const LinkProtocol::Commands& commands) {
  for (const std::string& command : commands) Command(command, Dispatch<&RedisLink::OnAnswer>);
}

void RedisLink::OnAnswer(const redisReply& reply) {
  Follow(protocol_.TakeAnswer(AnswerIn(reply)));
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

// Ends the connection from our side. Must not be called in a connect or disconnect callback.
void RedisLink::Fail(std::string_view why) {
  Release();
  Lost(why);
}

void RedisLink::Release() {
  if (context_ == nullptr) return;
  redisAsyncContext* context = std::exchange(context_, nullptr);
  poll_ = nullptr;
  context->data = nullptr;  // its callbacks run once more, with null replies, and find nobody
  redisAsyncFree(context);
}

void RedisLink::Lost(std::string_view why) {
  // A name may stand for several addresses, of which Redis listens on one.
  if (state_ == State::kConnecting && !addresses_.empty() && !stopping_) return ConnectToNext();
  const bool was_idle = awaited_ == 0 && Now() - ready_since_ms_ > kIdleMs;
  const bool was_ready = state_ == State::kReady;
  if (was_ready && Now() - ready_since_ms_ > kSteadyMs) backoff_.Reset();
  state_ = stopping_ ? State::kStopped : State::kWaiting;
  protocol_.End();
  ready_since_ms_ = 0;
  awaited_ = 0;
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

void RedisLink::Command(std::string_view wire, Callback* callback, void* data) {
  if (redisAsyncFormattedCommand(context_, callback, data, wire.data(), wire.size()) == REDIS_OK) {
    Expect();
  } else if (callback == OnTailReply) {
    delete static_cast<TailRequest*>(data);
  }
}

void RedisLink::Send(const std::string& xadd) {
  SPROCKETS_ASSERT(state_ == State::kReady);
  Command(xadd, OnXaddReply);
  // Redis begins with the first part of a turn's commands while the rest is still being read.
  unflushed_bytes_ += xadd.size();
  if (unflushed_bytes_ > kFlushBytes) Flush();
}

void RedisLink::OnXaddReply(redisAsyncContext* context, void* data, void*) {
  RedisLink* link = From(context);
  if (link == nullptr || data == nullptr) return;
  link->OnProgress();
  const redisReply& reply = *static_cast<redisReply*>(data);
  switch (reply.type) {
    case REDIS_REPLY_STRING:
      link->backoff_.Reset();
      link->probe_backoff_.Reset();
      link->events_->OnLanded(TextIn(reply));
      break;
    case REDIS_REPLY_NIL:
      link->events_->OnNil();
      break;
    case REDIS_REPLY_ERROR:
      link->events_->OnXaddError(TextIn(reply));
      break;
    default:
      link->events_->OnXaddError("the answer to an XADD is not an entry id");
      break;
  }
}

void RedisLink::ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) {
  SPROCKETS_ASSERT(state_ == State::kReady);
  const std::string end = before ? "(" + ToString(*before) : "+";
  const std::string count_text = std::to_string(count);
  Command(MakeCommand({"XREVRANGE", stream.name, end, "-", "COUNT", count_text}), OnTailReply,
          new TailRequest{&stream, count});
}

void RedisLink::OnTailReply(redisAsyncContext* context, void* data, void* request_data) {
  const std::unique_ptr<TailRequest> request(static_cast<TailRequest*>(request_data));
  RedisLink* link = From(context);
  if (link == nullptr || data == nullptr) return;
  link->OnProgress();
  const redisReply& reply = *static_cast<redisReply*>(data);
  if (reply.type == REDIS_REPLY_ERROR) return link->events_->OnTailError(*request->stream, TextIn(reply));
  const auto entries = EntriesIn(reply);
  if (!entries)
    return link->events_->OnTailError(*request->stream, "the answer to an XREVRANGE is not a list of entries");
  const bool more = entries->size() == static_cast<size_t>(request->count);
  link->events_->OnTail(*request->stream, *entries, more);
}

void RedisLink::ProbeLater() {
  if (state_ == State::kReady && !probe_timer_.active()) probe_timer_.Start(probe_backoff_.NextMs(random_()));
}

void RedisLink::Probe() {
  if (state_ == State::kReady) Ask(protocol_.Probe());
}

void RedisLink::Flush() {
  unflushed_bytes_ = 0;
  if (poll_ != nullptr) poll_->Flush();
}

// ---- Deadlines: no connection may owe us answers and give none for longer than the timeout

void RedisLink::Expect() {
  if (awaited_++ > 0) return;
  progress_ms_ = Now();
  arrivals_ = poll_->arrivals();
  if (!deadline_timer_.active()) deadline_timer_.Start(options_.timeout_ms);
}

void RedisLink::OnProgress() {
  --awaited_;
  progress_ms_ = Now();
}

void RedisLink::OnDeadline() {
  if (awaited_ == 0 || context_ == nullptr) return;
  int64_t left = progress_ms_ + options_.timeout_ms - Now();
  if (left <= 0 && state_ != State::kConnecting) {
    // It may be we who were stopped: what has arrived meanwhile counts.
    const bool is_arriving = AnswerIsArriving();
    redisAsyncHandleRead(context_);
    if (context_ == nullptr || awaited_ == 0) return;
    if (is_arriving) progress_ms_ = Now();
    left = progress_ms_ + options_.timeout_ms - Now();
  }
  if (left > 0) return deadline_timer_.Start(left);
  Fail(state_ == State::kConnecting ? "no connection within --redis-timeout" : "no answer within --redis-timeout");
}

// A large reply that comes in pieces is progress, too.
bool RedisLink::AnswerIsArriving() {
  int unread = 0;
  if (ioctl(context_->c.fd, FIONREAD, &unread) == 0 && unread > 0) return true;
  const uint64_t arrivals = poll_->arrivals();
  return arrivals != std::exchange(arrivals_, arrivals);
}

// Redis closes what is idle for longer than its `timeout`, which may be as short as a second.
void RedisLink::KeepAlive() {
  if (state_ == State::kReady && awaited_ == 0) Command("*1\r\n$4\r\nPING\r\n", Dispatch<&RedisLink::OnKeptAlive>);
}

}  // namespace sprockets
