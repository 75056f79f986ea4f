// What most tests of whole programs begin with: a Redis and a sidecar before it, in a folder of their own.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/harness/proxy.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

class Stack {
 public:
  struct Options {
    bool redis_up = true;         // and the sidecar connected to it
    bool through_proxy = false;   // between the sidecar and Redis
    std::string redis_user = {};  // as which the sidecar logs in; empty: it does not
    std::vector<std::string> redis_options = {};
    std::vector<std::string> sidecar_options = {};
  };

  Stack();
  explicit Stack(const Options& options);

  TempDir folder;
  RedisServer redis;
  std::optional<Proxy> proxy;
  Sidecar sidecar;

  Reply Xadd(const std::string& stream, const std::vector<std::string>& fields) const;
  /// Redis is there again, and the sidecar uses it.
  void RestartRedis();
  /// Straight into Redis, past the proxy.
  DrainResult Drain(std::vector<std::string> more = {}) const;
  size_t Length(const std::string& stream) const;
  /// The names of the spill files in a folder, sorted.
  std::vector<std::string> SpillFiles(const std::filesystem::path& below = {}) const;
};

}  // namespace sprockets::harness
