#include "tests/harness/proxy.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sprockets::harness {
namespace {

constexpr size_t kPiecesASecond = 50;

constexpr size_t kMostBuffered = 64 * 1024 * 1024;  // of one held connection: beyond it the client feels back-pressure

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

int ConnectTo(const std::filesystem::path& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

// Appends what is there to `out`. False at the end of the stream, or after an error.
bool ReadInto(int fd, std::string& out) {
  std::array<char, 64 * 1024> buffer;
  const ssize_t size = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size > 0) out.append(buffer.data(), static_cast<size_t>(size));
  return size > 0 || (size < 0 && errno == EAGAIN);
}

// Removes from `bytes` what could be written. False if nobody takes it any more.
bool WriteFrom(int fd, std::string& bytes) {
  const ssize_t size = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (size > 0) bytes.erase(0, static_cast<size_t>(size));
  return size >= 0 || errno == EAGAIN;
}

// How long the whole reply is that `bytes` begins with; 0: it is not there yet.
size_t ReplyBytes(std::string_view bytes) {
  const size_t line_end = bytes.find("\r\n");
  if (line_end == std::string_view::npos) return 0;
  size_t size = line_end + 2;
  const bool has_length = bytes[0] == '$' || bytes[0] == '*';
  const long length = has_length ? std::strtol(std::string(bytes.substr(1, line_end - 1)).c_str(), nullptr, 10) : 0;
  if (bytes[0] == '$' && length >= 0) size += static_cast<size_t>(length) + 2;
  for (long i = 0; bytes[0] == '*' && i < length; ++i) {
    const size_t element = size < bytes.size() ? ReplyBytes(bytes.substr(size)) : 0;
    if (element == 0) return 0;
    size += element;
  }
  return size <= bytes.size() ? size : 0;
}

}  // namespace

Proxy::Proxy(int redis_port, Carries carries) : carries_(carries), redis_port_(redis_port) {
  Listen();
}

Proxy::Proxy(std::filesystem::path socket_path)
    : carries_(Carries::kBytes), socket_path_(std::move(socket_path)), redis_port_(0) {
  Listen();
}

void Proxy::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  std::array<int, 2> wake;
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 || listen(listener_, 128) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      pipe2(wake.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    throw std::system_error(errno, std::generic_category(), "proxy");
  }
  port_ = ntohs(address.sin_port);
  wake_read_ = wake[0];
  wake_write_ = wake[1];
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  for (Link& link : links_) {
    Close(link.client);
    Close(link.redis);
  }
  for (int* fd : {&listener_, &wake_read_, &wake_write_}) Close(*fd);
}

void Proxy::HoldRequests() {
  const std::lock_guard lock(mutex_);
  for (Link& link : links_) link.held = true;
}

void Proxy::ReleaseRequests() {
  {
    const std::lock_guard lock(mutex_);
    for (Link& link : links_) link.held = false;
  }
  Wake();
}

bool Proxy::Holds(std::string_view text) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(links_.begin(), links_.end(),
                     [&](const Link& link) { return link.held && link.to_redis.find(text) != std::string::npos; });
}

void Proxy::CutAfter(Direction direction, size_t bytes) {
  const std::lock_guard lock(mutex_);
  cut_ = {direction, bytes};
}

bool Proxy::TakeCut() {
  const std::lock_guard lock(mutex_);
  return std::exchange(cut_, std::nullopt).value_or(Cut{}).done;
}

void Proxy::LeadTo(int redis_port) {
  const std::lock_guard lock(mutex_);
  redis_port_ = redis_port;
}

void Proxy::CutClients() {
  {
    const std::lock_guard lock(mutex_);
    for (Link& link : links_) Close(link.client);
  }
  Wake();
}

void Proxy::RefuseConnections(bool refuse) {
  const std::lock_guard lock(mutex_);
  refusing_ = refuse;
}

void Proxy::DelayReplies(std::chrono::milliseconds delay) {
  const std::lock_guard lock(mutex_);
  reply_delay_ = delay;
}

void Proxy::LimitReplies(size_t bytes_a_second) {
  const std::lock_guard lock(mutex_);
  bytes_a_second_ = bytes_a_second;
}

void Proxy::ReplaceNextReply(std::string prefix, std::string replacement) {
  const std::lock_guard lock(mutex_);
  replacement_.emplace(std::move(prefix), std::move(replacement));
}

bool Proxy::replacement_done() const {
  const std::lock_guard lock(mutex_);
  return !replacement_.has_value();
}

void Proxy::Wake() {
  [[maybe_unused]] const ssize_t written = write(wake_write_, "!", 1);
}

void Proxy::Close(int& fd) {
  if (fd >= 0) close(std::exchange(fd, -1));
}

void Proxy::Run() {
  for (;;) {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}, {wake_read_, POLLIN, 0}};
    int timeout_ms = 0;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      timeout_ms = PollTimeoutMs();
      for (const Link& link : links_) {
        const bool deliver = !link.held && !link.to_redis.empty();
        polled.push_back({link.client, static_cast<short>(link.to_redis.size() < kMostBuffered ? POLLIN : 0), 0});
        polled.push_back({link.redis, static_cast<short>(POLLIN | (deliver ? POLLOUT : 0)), 0});
      }
    }
    poll(polled.data(), polled.size(), timeout_ms);

    const std::lock_guard lock(mutex_);
    if (polled[1].revents != 0) {
      std::array<char, 64> buffer;
      while (read(wake_read_, buffer.data(), buffer.size()) > 0) continue;
    }
    size_t at = 2;
    for (Link& link : links_) {
      if (polled[at++].revents != 0) ReadClient(link);
      if (polled[at++].revents & (POLLIN | POLLHUP | POLLERR)) ReadRedis(link);
      WriteRedis(link);
      WriteClient(link);
    }
    links_.remove_if([](const Link& link) { return link.client < 0 && link.redis < 0; });
    if (polled[0].revents != 0) Accept();
  }
}

int Proxy::PollTimeoutMs() const {
  auto next = Clock::time_point::max();
  for (const Link& link : links_) {
    if (!link.to_client.empty()) next = std::min(next, link.to_client.front().due);
  }
  if (next == Clock::time_point::max()) return -1;
  return static_cast<int>(
      std::max<int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count()));
}

void Proxy::Accept() {
  int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  const int redis = refusing_ ? -1 : socket_path_.empty() ? ConnectTo(redis_port_) : ConnectTo(socket_path_);
  if (redis < 0) return Close(client);
  links_.push_back(
      {.client = client, .redis = redis, .held = false, .to_redis = {}, .from_redis = {}, .to_client = {}});
}

void Proxy::ReadClient(Link& link) {
  if (link.client >= 0 && !ReadInto(link.client, link.to_redis)) Close(link.client);
}

void Proxy::ReadRedis(Link& link) {
  if (link.redis < 0) return;
  std::string bytes;
  if (!ReadInto(link.redis, bytes)) {
    Close(link.redis);
    link.to_redis.clear();
    if (!link.from_redis.empty())
      link.to_client.push_back({.due = Clock::now(), .bytes = std::exchange(link.from_redis, {})});
    return;
  }
  link.from_redis += bytes;
  // Reply by reply, so that one that is replaced takes no other with it.
  std::string whole = carries_ == Carries::kBytes ? std::exchange(link.from_redis, {}) : std::string();
  for (size_t size; (size = ReplyBytes(link.from_redis)) > 0; link.from_redis.erase(0, size)) {
    std::string reply = link.from_redis.substr(0, size);
    if (replacement_ && reply.starts_with(replacement_->first)) {
      reply = std::move(replacement_->second);
      replacement_.reset();
    }
    whole += reply;
  }
  auto due = Clock::now() + reply_delay_;
  if (!link.to_client.empty()) due = std::max(due, link.to_client.back().due);
  const size_t piece = bytes_a_second_ == 0 ? whole.size() : std::max<size_t>(bytes_a_second_ / kPiecesASecond, 1);
  for (size_t at = 0; at < whole.size(); at += piece) {
    if (bytes_a_second_ != 0) due += std::chrono::milliseconds(1000 / kPiecesASecond);
    link.to_client.push_back({.due = due, .bytes = whole.substr(at, piece)});
  }
}

// As WriteFrom, but false when the cut is reached; then `bytes` holds what nobody gets.
bool Proxy::WriteUpToCut(Direction direction, int fd, std::string& bytes) {
  if (!cut_ || cut_->done || cut_->direction != direction || bytes.size() <= cut_->bytes_left) {
    const size_t before = bytes.size();
    const bool taken = WriteFrom(fd, bytes);
    if (cut_ && !cut_->done && cut_->direction == direction) cut_->bytes_left -= before - bytes.size();
    return taken;
  }
  std::string last = bytes.substr(0, cut_->bytes_left);
  const bool taken = last.empty() || WriteFrom(fd, last);
  bytes.erase(0, cut_->bytes_left - last.size());
  cut_->bytes_left = last.size();
  cut_->done = last.empty();
  return taken && !cut_->done;
}

void Proxy::WriteRedis(Link& link) {
  if (link.redis < 0 || link.held) return;
  if (!link.to_redis.empty() && !WriteUpToCut(Direction::kToRedis, link.redis, link.to_redis)) {
    link.to_redis.clear();
    Close(link.client);
  }
  if (link.client < 0 && link.to_redis.empty()) Close(link.redis);
}

void Proxy::WriteClient(Link& link) {
  while (!link.to_client.empty() && link.to_client.front().due <= Clock::now()) {
    std::string& bytes = link.to_client.front().bytes;
    if (link.client >= 0 && !WriteUpToCut(Direction::kToClient, link.client, bytes)) Close(link.client);
    if (link.client < 0) bytes.clear();
    if (!bytes.empty()) return;
    link.to_client.pop_front();
  }
  if (link.redis < 0 && link.to_client.empty()) Close(link.client);
}

}  // namespace sprockets::harness
