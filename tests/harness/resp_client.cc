#include "tests/harness/resp_client.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include <hiredis/hiredis.h>

#include "shared/base/text.h"
#include "shared/redis/reply_framer.h"
#include "shared/redis/resp.h"
#include "shared/redis/stream_id.h"

namespace sprockets::harness {
namespace {

using Clock = std::chrono::steady_clock;

int MillisecondsUntil(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

[[noreturn]] void ThrowClosed(const char* doing) {
  throw ConnectionClosed(std::string(doing) + ": " + std::strerror(errno));
}

int ConnectSocket(int family, const sockaddr* address, socklen_t size) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, address, size) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
    ThrowClosed("connect");
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

Reply FromHiredis(const redisReply& reply) {
  Reply result;
  result.integer = reply.integer;
  if (reply.str != nullptr) result.text.assign(reply.str, reply.len);
  switch (reply.type) {
    case REDIS_REPLY_STRING:
      result.type = Reply::Type::kBulk;
      break;
    case REDIS_REPLY_STATUS:
      result.type = Reply::Type::kSimple;
      break;
    case REDIS_REPLY_ERROR:
      result.type = Reply::Type::kError;
      break;
    case REDIS_REPLY_INTEGER:
      result.type = Reply::Type::kInteger;
      break;
    case REDIS_REPLY_ARRAY:
      result.type = Reply::Type::kArray;
      for (size_t i = 0; i < reply.elements; ++i) result.elements.push_back(FromHiredis(*reply.element[i]));
      break;
    default:
      result.type = Reply::Type::kNull;
  }
  return result;
}

void AppendTo(std::string& out, const Command& command) {
  const std::vector<std::string_view> views(command.begin(), command.end());
  AppendCommand(out, views);
}

}  // namespace

bool Reply::IsError(std::string_view word) const {
  return type == Type::kError && std::string_view(text).substr(0, text.find(' ')) == word;
}

bool Reply::Landed() const {
  const auto id = ParseStreamId(text);
  return type == Type::kBulk && id.has_value() && id->ms > 0;
}

bool Reply::Spilled() const {
  const auto id = ParseStreamId(text);
  return type == Type::kSimple && id.has_value() && id->ms == 0 && id->seq > 0;
}

std::ostream& operator<<(std::ostream& out, const Reply& reply) {
  switch (reply.type) {
    case Reply::Type::kBulk:
      return out << '"' << Escape(reply.text) << '"';
    case Reply::Type::kSimple:
      return out << '+' << Escape(reply.text);
    case Reply::Type::kError:
      return out << '-' << Escape(reply.text);
    case Reply::Type::kInteger:
      return out << ':' << reply.integer;
    case Reply::Type::kNull:
      return out << "nil";
    case Reply::Type::kArray:
      break;
  }
  out << '[';
  for (size_t i = 0; i < reply.elements.size(); ++i) out << (i > 0 ? ", " : "") << reply.elements[i];
  return out << ']';
}

void RespClient::ReaderDeleter::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

RespClient RespClient::ConnectUnix(const std::filesystem::path& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket_path.string();
  if (path.size() >= sizeof address.sun_path) throw std::invalid_argument("socket path too long: " + path);
  path.copy(address.sun_path, path.size());
  return RespClient(ConnectSocket(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

RespClient RespClient::ConnectTcp(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ConnectSocket(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return RespClient(fd);
}

RespClient::RespClient(int fd) : fd_(fd), reader_(redisReaderCreate()) {}

RespClient::RespClient(RespClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), reader_(std::move(other.reader_)) {}

RespClient& RespClient::operator=(RespClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(reader_, other.reader_);
  return *this;
}

RespClient::~RespClient() {
  if (fd_ >= 0) close(fd_);
}

void RespClient::SendRaw(std::string_view bytes, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!bytes.empty()) {
    pollfd ready{.fd = fd_, .events = POLLIN | POLLOUT, .revents = 0};
    if (poll(&ready, 1, MillisecondsUntil(deadline)) == 0) throw std::runtime_error("the other side does not read");
    if (ready.revents & POLLIN) Receive();
    if (!(ready.revents & (POLLOUT | POLLERR | POLLHUP))) continue;
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0)
      bytes.remove_prefix(static_cast<size_t>(sent));
    else if (errno != EAGAIN)
      ThrowClosed("send");
  }
}

void RespClient::Send(const Command& command) {
  std::string bytes;
  AppendTo(bytes, command);
  SendRaw(bytes);
}

size_t RespClient::SendUntilBlocked(std::string_view bytes, std::chrono::milliseconds quiet) {
  size_t total = 0;
  while (total < bytes.size()) {
    pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
    if (poll(&ready, 1, static_cast<int>(quiet.count())) == 0) break;
    const ssize_t sent = send(fd_, bytes.data() + total, bytes.size() - total, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) ThrowClosed("send");
    if (sent > 0) total += static_cast<size_t>(sent);
  }
  return total;
}

void RespClient::Receive() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
  if (size == 0) throw ConnectionClosed("recv: closed by the other side");
  if (size > 0)
    redisReaderFeed(reader_.get(), buffer.data(), static_cast<size_t>(size));
  else if (errno != EAGAIN)
    ThrowClosed("recv");
}

std::optional<Reply> RespClient::NextParsed() {
  void* parsed = nullptr;
  if (redisReaderGetReply(reader_.get(), &parsed) != REDIS_OK)
    throw std::runtime_error(std::string("bad RESP: ") + reader_->errstr);
  if (parsed == nullptr) return std::nullopt;
  Reply reply = FromHiredis(*static_cast<redisReply*>(parsed));
  freeReplyObject(parsed);
  return reply;
}

std::optional<Reply> RespClient::TryRead(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (;;) {
    if (auto reply = NextParsed()) return reply;
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, MillisecondsUntil(deadline)) == 0) return std::nullopt;
    Receive();
  }
}

Reply RespClient::Read(std::chrono::milliseconds limit) {
  auto reply = TryRead(limit);
  if (!reply) throw std::runtime_error("no reply in " + std::to_string(limit.count()) + "ms");
  return *std::move(reply);
}

std::string RespClient::ReadRaw(size_t bytes, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  std::string read;
  while (read.size() < bytes) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, MillisecondsUntil(deadline)) == 0)
      throw std::runtime_error("only " + std::to_string(read.size()) + " bytes came: " + Escape(read));
    std::array<char, 64 * 1024> buffer;
    const ssize_t size = recv(fd_, buffer.data(), std::min(buffer.size(), bytes - read.size()), 0);
    if (size == 0) throw ConnectionClosed("recv: closed by the other side");
    if (size > 0)
      read.append(buffer.data(), static_cast<size_t>(size));
    else if (errno != EAGAIN)
      ThrowClosed("recv");
  }
  return read;
}

Reply RespClient::Call(const Command& command, std::chrono::milliseconds limit) {
  Send(command);
  return Read(limit);
}

std::vector<Reply> RespClient::Pipeline(std::span<const Command> commands, std::chrono::milliseconds limit) {
  std::string bytes;
  for (const Command& command : commands) AppendTo(bytes, command);
  SendRaw(bytes, limit);
  std::vector<Reply> replies;
  for (size_t i = 0; i < commands.size(); ++i) replies.push_back(Read(limit));
  return replies;
}

std::string RespClient::RawCall(const Command& command) {
  Send(command);
  ReplyFramer framer;
  std::string reply;
  for (ReplyFramer::Outcome outcome = ReplyFramer::Outcome::kPart; outcome == ReplyFramer::Outcome::kPart;) {
    const std::string byte = ReadRaw(1);
    reply += byte;
    size_t taken = 0;
    outcome = framer.Take(byte, &taken);
  }
  return reply;
}

bool RespClient::WaitClosed(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  try {
    while (Clock::now() < deadline) {
      if (!TryRead(std::chrono::milliseconds(MillisecondsUntil(deadline)))) return false;
    }
  } catch (const ConnectionClosed&) {
    return true;
  }
  return false;
}

void RespClient::FinishSending() {
  shutdown(fd_, SHUT_WR);
}

}  // namespace sprockets::harness
