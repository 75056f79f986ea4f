// Writes the rows of one structure into Redis under other names than the live keys have. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replayer/redis/pipeline.h"
#include "replayer/structure/source.h"

namespace sprockets {

class Loader {
 public:
  struct Key {
    std::string key;   // as the source names it
    std::string name;  // under which it was written
    uint64_t rows = 0;
    uint64_t stored = 0;  // as Redis counted them
  };
  /// A key is written as `prefix` + key, and its name stands in the set `registry` before: what a killed run has left
  /// behind can be found there.
  Loader(RedisClient& client, RedisKind kind, std::string prefix, std::string registry)
      : pipeline_(client), kind_(kind), prefix_(std::move(prefix)), registry_(std::move(registry)) {}

  /// Rows must come sorted by key. What has expired already is left out.
  Status Add(const SourceRow& row);
  /// Everything is in Redis when it returns.
  Status Finish();

  /// At the end.
  std::vector<Key> TakeKeys() { return std::move(keys_); }
  uint64_t rows() const { return rows_; }

 private:
  Status BeginKey(const SourceRow& row);
  Status EndKey();
  Status SendBatch();

  Pipeline pipeline_;
  const RedisKind kind_;
  const std::string prefix_;
  const std::string registry_;
  std::vector<Key> keys_;
  uint64_t rows_ = 0;
  bool in_key_ = false;
  bool expired_ = false;  // the key at hand
  std::optional<int64_t> expire_at_ms_;
  std::string batch_;  // of ZADD, HSET, SADD: what follows the key
  size_t batch_words_ = 0;
  int64_t now_ms_ = 0;
};

/// A score as Redis reads it back to the same double.
std::string FormatScore(double score);
/// A score as Redis writes it.
double ParseScore(std::string_view text);

}  // namespace sprockets
