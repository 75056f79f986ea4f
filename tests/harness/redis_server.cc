#include "tests/harness/redis_server.h"

#include <cstddef>
#include <cstdlib>
#include <netinet/in.h>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace sprockets::harness {
namespace {

constexpr int kLowestPort = 12'000;
constexpr int kHighestPort = 32'000;

bool NobodyListensOn(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return is_free;
}

int BindAbstractName(const std::string& name) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, name.size());  // a leading NUL: not in the file system, gone with the process
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace

ReservedPort::ReservedPort() {
  std::random_device random;
  std::uniform_int_distribution<int> pick(kLowestPort, kHighestPort);
  for (int tries = 0; tries < 1000; ++tries) {
    number_ = pick(random);
    reservation_fd_ = BindAbstractName("sprockets-test-port-" + std::to_string(number_));
    if (reservation_fd_ < 0) continue;
    if (NobodyListensOn(number_)) return;
    close(std::exchange(reservation_fd_, -1));
  }
  throw std::runtime_error("no free port");
}

ReservedPort::~ReservedPort() {
  close(reservation_fd_);
}

RedisServer::RedisServer(const std::filesystem::path& folder, std::vector<std::string> options)
    : folder_(folder / "redis"), options_(std::move(options)) {
  std::filesystem::create_directories(folder_);
}

void RedisServer::StartWithoutWaiting() {
  const char* const other = std::getenv("SPROCKETS_TEST_REDIS_SERVER");
  std::vector<std::string> command = {other == nullptr ? "redis-server" : other,
                                      "--port",
                                      std::to_string(port()),
                                      "--bind",
                                      "127.0.0.1",
                                      "--unixsocket",
                                      socket_path(),
                                      "--dir",
                                      folder_,
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "yes",
                                      "--appendfsync",
                                      "always",
                                      "--cluster-port",
                                      std::to_string(cluster_port_.number())};
  command.insert(command.end(), options_.begin(), options_.end());
  process_ = std::make_unique<Process>(
      Process::Options{.command = std::move(command), .output = folder_ / "server", .environment = {}});
}

void RedisServer::Start() {
  StartWithoutWaiting();
  const bool up = WaitUntil([this] { return !Running() || Answers(); });
  if (!up || !Running())
    throw std::runtime_error("redis-server did not start: " + process_->Stdout() + process_->Stderr());
}

bool RedisServer::Answers() {
  try {
    return Connect().Call({"PING"}).text == "PONG";
  } catch (const ConnectionClosed&) {
    return false;
  }
}

void RedisServer::Kill9() {
  process_->Kill9();
}

void RedisServer::Set(const std::string& parameter, const std::string& value) const {
  const Reply reply = Call({"CONFIG", "SET", parameter, value});
  if (reply.text != "OK") throw std::runtime_error("CONFIG SET " + parameter + ": " + reply.text);
}

}  // namespace sprockets::harness
