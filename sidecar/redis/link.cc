#include "sidecar/redis/link.h"

#include <algorithm>
#include <array>
#include <sys/ioctl.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/reply_objects.h"

namespace sprockets {

namespace {

constexpr size_t kFlushBytes = 128 * 1024;
constexpr int64_t kIdleMs = 400;       // then a PING keeps the connection alive
constexpr int64_t kSteadyMs = 10'000;  // a connection that stood that long was a good one: the next backoff begins anew

std::string_view TextOf(const redisReply& reply) {
  return {reply.str, static_cast<size_t>(reply.len)};
}

bool IsNumericHost(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return uv_inet_pton(AF_INET, host.c_str(), address.data()) == 0 ||
         uv_inet_pton(AF_INET6, host.c_str(), address.data()) == 0;
}

// [[id, [field, value, …]], …]; false if it is anything else.
bool ReadEntries(const redisReply& reply, std::vector<TailEntry>* entries) {
  if (reply.type != REDIS_REPLY_ARRAY) return false;
  for (size_t i = 0; i < reply.elements; ++i) {
    const redisReply& pair = *reply.element[i];
    if (pair.type != REDIS_REPLY_ARRAY || pair.elements != 2 || pair.element[0]->type != REDIS_REPLY_STRING)
      return false;
    const auto id = ParseStreamId(TextOf(*pair.element[0]));
    const redisReply& fields = *pair.element[1];
    if (!id || fields.type != REDIS_REPLY_ARRAY) return false;
    TailEntry entry{*id, {}};
    entry.fields.reserve(fields.elements);
    for (size_t f = 0; f < fields.elements; ++f) {
      if (fields.element[f]->type != REDIS_REPLY_STRING) return false;
      entry.fields.push_back(TextOf(*fields.element[f]));
    }
    entries->push_back(std::move(entry));
  }
  return true;
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
      written_down_(std::move(earlier)),
      earlier_lost_(earlier_lost) {}

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
  if (!options_.url.socket_path.empty()) return Adopt(redisAsyncConnectUnix(options_.url.socket_path.c_str()));
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
  BeginHandshake();
}

void RedisLink::OnDisconnected() {
  const std::string why = context_->err != 0 ? context_->errstr : "closed";
  context_ = nullptr;
  poll_ = nullptr;
  Lost(why);
}

// ---- Handshake, fences, recording

template <void (RedisLink::*Handler)(const redisReply&)>
void RedisLink::Dispatch(redisAsyncContext* context, void* reply, void*) {
  RedisLink* link = From(context);
  if (link == nullptr || reply == nullptr) return;  // the loss of the connection is told elsewhere, once
  link->OnProgress();
  (link->*Handler)(*static_cast<redisReply*>(reply));
}

void RedisLink::BeginHandshake() {
  state_ = State::kHandshake;
  steps_ = HandshakeSteps(options_.url);
  steps_answered_ = 0;
  handshake_ = {};
  for (const HandshakeStep& step : steps_) Command(step.command, Dispatch<&RedisLink::OnHandshakeAnswer>);
}

void RedisLink::OnHandshakeAnswer(const redisReply& reply) {
  Handshake::Answer answer;
  answer.is_error = reply.type == REDIS_REPLY_ERROR;
  if (reply.type == REDIS_REPLY_INTEGER) {
    answer.integer = reply.integer;
  } else if (reply.str != nullptr) {
    answer.text = TextOf(reply);
  }
  handshake_.Take(steps_[steps_answered_].kind, answer);
  if (++steps_answered_ == steps_.size()) EndHandshake();
}

void RedisLink::EndHandshake() {
  const bool first = std::exchange(first_handshake_, false);
  if (!handshake_.refusal.empty()) {
    const std::string why = handshake_.refusal;
    const bool unusable = first && handshake_.cluster;
    Fail(why);
    if (unusable) events_->OnUnusable(why);
    return;
  }
  const std::string missing = handshake_.MissingRights();
  if (missing != last_missing_rights_ && !missing.empty()) LogWarning("redis-rights-missing", {{"missing", missing}});
  last_missing_rights_ = missing;
  BeginFencing();
}

void RedisLink::BeginFencing() {
  state_ = State::kFencing;
  fence_.emplace(written_down_, Self(), handshake_.can_fence());
  if (fence_->answered()) return BeginRecording();
  for (const ConnectionId& connection : fence_->to_kill()) {
    const std::string id = std::to_string(connection.client_id);
    const std::array<std::string_view, 4> words{"CLIENT", "KILL", "ID", id};
    std::string wire;
    AppendCommand(wire, words);
    Command(wire, Dispatch<&RedisLink::OnFenceAnswer>);
  }
}

void RedisLink::OnFenceAnswer(const redisReply& reply) {
  fence_->TakeAnswer(reply.type == REDIS_REPLY_INTEGER);
  if (fence_->answered()) BeginRecording();
}

void RedisLink::BeginRecording() {
  state_ = State::kRecording;
  ++records_pending_;
  events_->RecordConnection(Self(), fence_->dead());
}

void RedisLink::OnRecorded(bool ok, std::string_view why, const std::vector<ConnectionId>& connections,
                           bool earlier_lost) {
  --records_pending_;
  if (ok) {
    written_down_ = connections;
    earlier_lost_ = earlier_lost;
  }
  if (state_ != State::kRecording || records_pending_ > 0) return;  // the answer to an attempt that broke meanwhile
  if (!ok) return Fail(std::string("writing the connection down: ") + std::string(why));
  state_ = State::kReady;
  ready_since_ms_ = Now();
  last_failure_.clear();
  const bool earlier_fenced = fence_->IsComplete(written_down_, earlier_lost_);
  LogInfo("redis-ready",
          {{"server", options_.url.ForLogs()}, {"version", handshake_.version}, {"fenced", fence_->dead().size()}});
  events_->OnLinkReady(Self(), earlier_fenced);
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
      link->events_->OnLanded(TextOf(reply));
      break;
    case REDIS_REPLY_NIL:
      link->events_->OnNil();
      break;
    case REDIS_REPLY_ERROR:
      link->events_->OnXaddError(TextOf(reply));
      break;
    default:
      link->events_->OnXaddError("an XADD was answered by something that is no id");
      break;
  }
}

void RedisLink::ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) {
  SPROCKETS_ASSERT(state_ == State::kReady);
  const std::string end = before ? "(" + ToString(*before) : "+";
  const std::string count_text = std::to_string(count);
  const std::array<std::string_view, 6> words{"XREVRANGE", stream.name, end, "-", "COUNT", count_text};
  std::string wire;
  AppendCommand(wire, words);
  Command(wire, OnTailReply, new TailRequest{&stream, count});
}

void RedisLink::OnTailReply(redisAsyncContext* context, void* data, void* request_data) {
  const std::unique_ptr<TailRequest> request(static_cast<TailRequest*>(request_data));
  RedisLink* link = From(context);
  if (link == nullptr || data == nullptr) return;
  link->OnProgress();
  const redisReply& reply = *static_cast<redisReply*>(data);
  if (reply.type == REDIS_REPLY_ERROR) return link->events_->OnTailError(*request->stream, TextOf(reply));
  std::vector<TailEntry> entries;
  if (!ReadEntries(reply, &entries))
    return link->events_->OnTailError(*request->stream,
                                      "XREVRANGE was answered by something that is no list of entries");
  const bool more = entries.size() == static_cast<size_t>(request->count);
  link->events_->OnTail(*request->stream, entries, more);
}

void RedisLink::ProbeLater() {
  if (state_ == State::kReady && !probe_timer_.active()) probe_timer_.Start(probe_backoff_.NextMs(random_()));
}

void RedisLink::Probe() {
  if (state_ != State::kReady) return;
  probe_pinged_ = false;
  Command("*1\r\n$4\r\nPING\r\n", Dispatch<&RedisLink::OnProbeAnswer>);
  Command("*1\r\n$4\r\nINFO\r\n", Dispatch<&RedisLink::OnProbeAnswer>);
}

void RedisLink::OnProbeAnswer(const redisReply& reply) {
  if (!std::exchange(probe_pinged_, true)) {
    handshake_.refusal = reply.type == REDIS_REPLY_ERROR ? std::string(TextOf(reply)) : "";
    return;
  }
  if (handshake_.refusal.empty() && reply.type == REDIS_REPLY_STRING) {
    const std::string run_id = handshake_.run_id;
    handshake_.TakeInfo(TextOf(reply));
    if (handshake_.run_id != run_id) return Fail("a proxy has led us to another server");
  }
  const bool passed = handshake_.refusal.empty();
  events_->OnProbe(passed);
  if (!passed) ProbeLater();
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
