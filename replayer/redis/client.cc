// The pipelining client. hiredis parses the replies; the bytes are moved here, because hiredis's own output buffer is
// copied on every partial write and it never reads while it writes.
#include "replayer/redis/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr int64_t kKeepAliveMs = 400;  // the least that Redis's `timeout` can be is a second

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kWriteBytes = 256 * 1024;  // one write; small enough that reading takes its turn

/// Answered by what no other command is answered by.
struct Ping {
  Ping() {
    std::random_device random;
    for (int i = 0; i < 4; ++i) token += std::to_string(random()) + "-";
    AppendCommand(command, std::array<std::string_view, 2>{"PING", token});
  }
  std::string token;
  std::string command;
};
const Ping& KeepAlivePing() {
  static const Ping ping;
  return ping;
}

}  // namespace

std::string_view TextOf(const redisReply& reply) {
  const bool is_text =
      reply.type == REDIS_REPLY_STRING || reply.type == REDIS_REPLY_STATUS || reply.type == REDIS_REPLY_ERROR;
  return is_text ? std::string_view(reply.str, static_cast<size_t>(reply.len)) : std::string_view();
}

RedisClient::RedisClient(std::unique_ptr<Wire> wire, int64_t deadline_ms)
    : wire_(std::move(wire)), reader_(redisReaderCreate()), deadline_ms_(deadline_ms) {
  SPROCKETS_ASSERT(reader_ != nullptr);
}

Result<RedisClient> RedisClient::Connect(const RedisUrl& url, int64_t deadline_ms, const Dial& dial) {
  const std::string where = "connecting to " + url.ForLogs();
  Result<std::unique_ptr<Wire>> wire = dial(url, deadline_ms);
  if (!wire.ok()) return std::move(wire).error().Prefixed(where);
  RedisClient client(std::move(wire).value(), deadline_ms);
  RETURN_IF_ERROR(client.LogIn(url).Prefixed(where));
  return client;
}

Status RedisClient::LogIn(const RedisUrl& url) {
  if (!url.password.empty()) {
    ASSIGN_OR_RETURN(const Reply reply,
                     url.user.empty() ? Call({"AUTH", url.password}) : Call({"AUTH", url.user, url.password}));
    if (IsError(*reply))
      return Error{ErrorCode::kRefused, "the login is refused: " + std::string(WithoutArguments(TextOf(*reply)))};
  }
  if (url.database != 0) {
    ASSIGN_OR_RETURN(const Reply reply, Call({"SELECT", std::to_string(url.database)}));
    if (IsError(*reply)) return Error{ErrorCode::kRefused, "SELECT: " + std::string(TextOf(*reply))};
  }
  return {};
}

Result<RedisClient::Reply> RedisClient::Call(std::initializer_list<std::string_view> command) {
  SPROCKETS_ASSERT(unwritten_.empty() || pings_ > 0);
  const std::string bytes = MakeCommand(command);
  Queue(bytes);
  Result<Reply> reply = Receive();
  unwritten_.clear();  // a broken connection may not have taken it, and `bytes` ends here
  return reply;
}

Result<RedisClient::Reply> RedisClient::Receive() {
  if (Reply reply = NextParsed()) return reply;
  progress_ms_ = SteadyClockMs();  // the wait begins here
  while (true) {
    if (!broken_.empty()) return Error{ErrorCode::kUnreachable, broken_};
    const int64_t left_ms = progress_ms_ + deadline_ms_ - SteadyClockMs();
    if (left_ms <= 0) {
      Break("Redis has not answered for " + FormatDuration(deadline_ms_), false);
    } else {
      Move(static_cast<int>(left_ms));
    }
    if (Reply reply = NextParsed()) return reply;
  }
}

/// A reply that has arrived whole; none: there is none yet.
RedisClient::Reply RedisClient::NextParsed() {
  while (true) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) Break("not a reply of Redis", false);
    Reply next(static_cast<redisReply*>(reply));
    if (next == nullptr || pings_ == 0 || TextOf(*next) != KeepAlivePing().token) return next;
    --pings_;
  }
}

void RedisClient::KeepAlive() {
  if (!broken_.empty()) return;
  if (unwritten_.empty() && SteadyClockMs() - progress_ms_ > kKeepAliveMs) {
    Queue(KeepAlivePing().command);
    ++pings_;
  }
  Pump();
}

void RedisClient::Pump() {
  if (broken_.empty()) Move(0);
}

void RedisClient::Move(int wait_ms) {
  const Wire::Readiness ready = wire_->Wait(!unwritten_.empty(), wait_ms);
  if (ready.to_write) Write();
  if (ready.to_read) Read();
}

void RedisClient::Write() {
  const std::string_view piece = unwritten_.front().substr(0, kWriteBytes);
  const ssize_t written = wire_->Write(piece);
  if (written < 0) {
    // What Redis still had to say is read before the connection counts as broken.
    if (errno != EAGAIN && errno != EINTR) unwritten_.clear();
    return;
  }
  progress_ms_ = SteadyClockMs();
  unwritten_.front().remove_prefix(static_cast<size_t>(written));
  if (unwritten_.front().empty()) unwritten_.pop_front();
}

void RedisClient::Read() {
  std::array<char, kReadBytes> buffer;
  const ssize_t got = wire_->Read(buffer);
  if (got > 0) {
    progress_ms_ = SteadyClockMs();
    if (redisReaderFeed(reader_.get(), buffer.data(), static_cast<size_t>(got)) != REDIS_OK) {
      Break("out of memory", false);
    }
  } else if (got == 0) {
    Break("the server closed the connection", true);
  } else if (errno != EAGAIN && errno != EINTR) {
    Break(std::strerror(errno), true);
  }
}

void RedisClient::Break(std::string why, bool by_server) {
  broken_ = std::move(why);
  closed_by_server_ = by_server;
  unwritten_.clear();
}

}  // namespace sprockets
