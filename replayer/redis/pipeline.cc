#include "replayer/redis/pipeline.h"

#include <utility>

#include "shared/base/text.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;
constexpr size_t kMostBytesInFlight = 1 << 20;

/// A whole line of RESP from `at` on, and past it: the number behind its first byte.
size_t TakeNumber(std::string_view bytes, size_t* at) {
  size_t number = 0;
  for (++*at; bytes[*at] != '\r'; ++*at) number = 10 * number + static_cast<size_t>(bytes[*at] - '0');
  *at += 2;
  return number;
}

/// The n-th command of those that AppendCommand wrote one after the other: its name and what it is about.
std::string DescribeCommand(std::string_view bytes, size_t n) {
  constexpr size_t kWordsShown = 2;
  size_t at = 0;
  for (;; --n) {
    std::string shown;
    const size_t words = TakeNumber(bytes, &at);
    for (size_t i = 0; i < words; ++i) {
      const size_t length = TakeNumber(bytes, &at);
      if (i < kWordsShown) shown += (i == 0 ? "" : " ") + Escape(bytes.substr(at, length));
      at += length + 2;
    }
    if (n == 0) return shown;
  }
}

ErrorCode CodeOf(std::string_view error) {
  if (IsNoPermission(error)) return ErrorCode::kNotPermitted;
  // OOM, READONLY and their like may pass: a service tries again.
  return ClassifyRedisError(error) == RefusalScope::kServer ? ErrorCode::kBusy : ErrorCode::kRefused;
}

}  // namespace

Status RefuseError(const redisReply& reply) {
  if (!IsError(reply)) return {};
  return Error{CodeOf(TextOf(reply)), std::string("Redis refuses: ") + Escape(TextOf(reply))};
}

Pipeline::~Pipeline() {
  for (const Chunk& chunk : in_flight_) {
    for (size_t i = 0; i < chunk.replies.size(); ++i) {
      if (!client_.Receive().ok()) return;  // broken: the client has forgotten what it had to write
    }
  }
}

Status Pipeline::Add(std::span<const std::string_view> words, OnReply on_reply) {
  AppendCommand(gathering_.bytes, words);
  gathering_.replies.push_back(std::move(on_reply));
  return gathering_.bytes.size() < kChunkBytes ? Status() : Send();
}

Status Pipeline::AddEncoded(size_t words, std::string_view body, OnReply on_reply) {
  AppendArrayHeader(gathering_.bytes, words);
  gathering_.bytes.append(body);
  gathering_.replies.push_back(std::move(on_reply));
  return gathering_.bytes.size() < kChunkBytes ? Status() : Send();
}

Status Pipeline::Send() {
  if (gathering_.replies.empty()) return {};
  gathering_.commands = gathering_.replies.size();
  in_flight_.push_back(std::exchange(gathering_, {}));
  bytes_in_flight_ += in_flight_.back().bytes.size();
  client_.Queue(in_flight_.back().bytes);
  client_.Pump();
  while (bytes_in_flight_ > kMostBytesInFlight) RETURN_IF_ERROR(TakeOldest());
  return {};
}

Status Pipeline::TakeOldest() {
  Chunk& chunk = in_flight_.front();
  while (!chunk.replies.empty()) {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, client_.Receive());
    const OnReply on_reply = std::move(chunk.replies.front());
    chunk.replies.pop_front();
    Status status = on_reply ? on_reply(*reply) : RefuseError(*reply);
    if (status.ok()) continue;
    // Redis does not say what its words are about.
    if (IsError(*reply))
      status = std::move(status).Prefixed(DescribeCommand(chunk.bytes, chunk.commands - chunk.replies.size() - 1));
    return status;
  }
  bytes_in_flight_ -= chunk.bytes.size();
  in_flight_.pop_front();
  return {};
}

Status Pipeline::Finish() {
  RETURN_IF_ERROR(Send());
  while (!in_flight_.empty()) RETURN_IF_ERROR(TakeOldest());
  return {};
}

}  // namespace sprockets
