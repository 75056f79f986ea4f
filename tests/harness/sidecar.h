// The two programs under test: the sidecar as a process that is killed and started again, the replayer as a command.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/harness/process.h"
#include "tests/harness/resp_client.h"

namespace sprockets::harness {

class Sidecar {
 public:
  struct Options {
    std::filesystem::path folder;  // for its socket, its log and, unless spill_dir says otherwise, its spill files
    std::string redis_url;
    std::filesystem::path spill_dir;  // default: folder/spill
    std::vector<std::string> arguments;
  };

  /// Does not start it yet.
  explicit Sidecar(Options options);

  /// Words that come before the command from the next start on: env, prlimit, setpriv, …
  void set_prefix(std::vector<std::string> words) { prefix_ = std::move(words); }

  /// Starts it and waits until it answers PING.
  void Start();
  void StartWithoutWaiting();
  void Kill9();
  void Stop() { process_->Stop(); }
  void Continue() { process_->Continue(); }
  /// SIGTERM, and its exit code. Throws if it does not end.
  int Terminate();

  Process& process() { return *process_; }
  bool Running() { return process_ && process_->Running(); }
  bool Answers() const;
  std::filesystem::path socket_path() const { return options_.folder / "sidecar.sock"; }
  const std::filesystem::path& spill_dir() const { return options_.spill_dir; }
  RespClient Connect() const { return RespClient::ConnectUnix(socket_path()); }
  /// One command on a connection of its own.
  Reply Call(const Command& command) const { return Connect().Call(command); }

  /// SPROCKETS STATUS.
  nlohmann::json Status() const;
  /// Until redis.breaker is `state`.
  void AwaitBreaker(const std::string& state) const;
  /// Until it has read what earlier lives left; before that it spills events with ids that it does not know.
  void AwaitFolderRead() const;

 private:
  Options options_;
  std::vector<std::string> prefix_;
  std::unique_ptr<Process> process_;
};

/// sprockets-sidecar with these words, to its end.
RunResult RunSidecar(const std::filesystem::path& folder, std::vector<std::string> arguments);

/// Its options as a command of sprockets-replayer understands them; output files go to `folder`.
RunResult RunReplayer(const std::filesystem::path& folder, std::vector<std::string> arguments);
std::vector<std::string> ReplayerCommand(std::vector<std::string> arguments);

/// What `drain --json` said, and how it ended.
struct DrainResult {
  int exit_code = -1;
  nlohmann::json summary;
  std::string err;

  int64_t Count(const char* name) const { return summary.value(name, int64_t{-1}); }
};

/// Drains `spill_dir` into the Redis at `redis_url`; by `sidecar_socket`, if one runs.
DrainResult Drain(const std::filesystem::path& folder, const std::filesystem::path& spill_dir,
                  const std::string& redis_url, const std::filesystem::path& sidecar_socket = {},
                  std::vector<std::string> more = {});

}  // namespace sprockets::harness
