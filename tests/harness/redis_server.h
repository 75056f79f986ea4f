// A private Redis: its own folder, port and Unix socket, killed and started again over the same files.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/harness/process.h"
#include "tests/harness/resp_client.h"

namespace sprockets::harness {

/// A TCP port that no other test takes while the object lives, also while nobody listens on it: below the range
/// from which the kernel serves outgoing connections, and reserved by an abstract Unix socket of that name.
class ReservedPort {
 public:
  ReservedPort();
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  int number() const { return number_; }

 private:
  int number_ = 0;
  int reservation_fd_ = -1;
};

/// redis-server, or what SPROCKETS_TEST_REDIS_SERVER names: one of another version, or Valkey.
class RedisServer {
 public:
  /// Does not start it yet. `options` as on redis-server's command line; they come last, so they win over ours:
  /// appendonly yes, appendfsync always, no snapshots.
  RedisServer(const std::filesystem::path& folder, std::vector<std::string> options = {});

  /// Starts it over the files that are there, and waits until it answers PONG.
  void Start();
  /// The same without waiting, for a server that takes its time to load.
  void StartWithoutWaiting();
  void Kill9();
  void Stop() { process_->Stop(); }
  void Continue() { process_->Continue(); }
  Process& process() { return *process_; }
  bool Running() { return process_ && process_->Running(); }
  bool Answers();  // PONG
  void set_options(std::vector<std::string> options) { options_ = std::move(options); }

  int port() const { return port_.number(); }
  std::filesystem::path socket_path() const { return folder_ / "redis.sock"; }
  std::string Url() const { return "redis://127.0.0.1:" + std::to_string(port()); }
  std::string UnixUrl() const { return "unix://" + socket_path().string(); }
  RespClient Connect() const { return RespClient::ConnectUnix(socket_path()); }
  /// One command on a connection of its own.
  Reply Call(const Command& command) const { return Connect().Call(command); }
  /// CONFIG SET that must succeed.
  void Set(const std::string& parameter, const std::string& value) const;

 private:
  std::filesystem::path folder_;
  std::vector<std::string> options_;
  ReservedPort port_;
  ReservedPort cluster_port_;  // in cluster mode; else Redis takes port + 10000, where anything may listen
  std::unique_ptr<Process> process_;
};

}  // namespace sprockets::harness
