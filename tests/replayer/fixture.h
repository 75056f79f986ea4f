// What the replayer's tests stand on: a private redis-server, a spill folder, files in it, and the program run
// in-process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "replayer/redis/client.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/file.h"

namespace sprockets::testing {

using Strings = std::vector<std::string>;

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// redis-server on a Unix socket in a folder of its own; killed at the end.
class PrivateRedis {
 public:
  explicit PrivateRedis(Strings options = {});
  ~PrivateRedis();

  void Start();
  void Kill9();
  void Signal(int number) const;
  std::string Url() const { return "unix://" + socket_path().native(); }
  std::filesystem::path socket_path() const { return folder_.path() / "redis.sock"; }

  /// One command on a connection of its own; the reply must not be an error unless it is wanted.
  RedisClient::Reply Call(const Strings& command) const;
  /// The text of a string, status or error reply; numbers as text.
  std::string Text(const Strings& command) const;
  std::string RunId() const;
  /// The last id of a stream, 0-0 if there is none.
  StreamId LastId(const std::string& stream) const;

 private:
  TempFolder folder_;
  Strings options_;
  pid_t pid_ = -1;
};

/// One event as a test writes it down: name, value, … with event_id among them.
struct TestEvent {
  std::string stream;
  Strings fields;
  Strings options;
  std::optional<Doubt> doubt;
};

TestEvent Event(const std::string& stream, const std::string& event_id, const std::string& value = "x");
TestEvent InDoubt(TestEvent event, StreamId anchor, std::optional<ConnectionId> connection = std::nullopt);

struct FileOptions {
  StreamId tail;
  std::vector<ConnectionId> connections;
  bool connections_lost = false;
  bool suspect = false;  // left active, with the marker
};

/// Writes the events into a new spill file, seals it, and returns its number. Tickets go on over files.
int64_t WriteSpillFile(const SpillFolder& folder, const std::vector<TestEvent>& events,
                       const FileOptions& options = {});

/// The fields of every entry of a stream, in order.
std::vector<Strings> Entries(const PrivateRedis& redis, const std::string& stream);
/// The event ids of a stream's entries, in order.
Strings EventIds(const PrivateRedis& redis, const std::string& stream);

struct Run {
  int exit_code = 0;
  std::string out;
  std::string err;      // about the command line; the log is not in it
  nlohmann::json json;  // of the output, where it is one document
};

/// Runs sprockets-replayer in this process.
Run RunReplayer(const Strings& arguments);

/// A Redis and an empty spill folder.
struct Stage {
  PrivateRedis redis;
  TempFolder temp;
  DiskFolder folder;

  explicit Stage(Strings redis_options = {});
  Run Drain(const Strings& more = {}) const;
  Run Command(const std::string& command, const Strings& more = {}) const;
  std::vector<SpillFileInfo> Files() const;
  /// Every file of the folder with its content.
  std::map<std::string, std::string> Snapshot() const;
};

}  // namespace sprockets::testing
