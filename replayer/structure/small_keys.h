// Small keys, many looked at in one pipeline: most are as the source has them, or missing, and that shows without a
// round trip for each. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/pipeline.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/allowance.h"
#include "replayer/structure/source.h"
#include "shared/base/result.h"

namespace sprockets {

/// A key with all of its rows.
class SmallKey {
 public:
  /// What Redis has for it. Of a key that neither shows to be the same nor missing, nothing is known.
  enum class Seen { kUnknown, kMissing, kSame };

  explicit SmallKey(const SourceRow& row) : key_(row.key), expire_at_ms_(row.expire_at_ms) {}

  void Add(const SourceRow& row);
  const std::string& key() const { return key_; }
  size_t rows() const { return rows_.size(); }
  Seen seen() const;
  /// Every row again, in the same order.
  Status Visit(const std::function<Status(const SourceRow&)>& visitor) const;

 private:
  friend class SmallKeys;
  struct Row {
    std::string member;
    std::string value;
    double score = 0;
  };
  bool HasExpired(int64_t now_ms) const { return expire_at_ms_ && *expire_at_ms_ <= now_ms; }
  bool HasScores(const redisReply& members_and_scores) const;
  bool HasValues(const redisReply& values, const Allowance& allowance) const;
  bool HasMembers(const redisReply& flags) const;

  std::string key_;
  std::optional<int64_t> expire_at_ms_;
  std::vector<Row> rows_;
  bool is_asked_ = false;
  bool is_missing_ = false;
  int unconfirmed_ = 0;  // replies that have not come, or show something else than the source has
};

/// Some of them: they are gathered, asked for, and then looked at.
class SmallKeys {
 public:
  /// `structure` and `redis` outlive this. The key `k` of the source is `prefix` + k in Redis.
  SmallKeys(const Structure& structure, RedisClient& redis, const std::string& prefix)
      : structure_(structure), allowance_(structure), prefix_(prefix), pipeline_(redis) {}

  void Add(const SourceRow& row);
  bool EndWith(std::string_view key) const { return !keys_.empty() && keys_.back().key() == key; }
  /// So many that they should be asked for.
  bool AreMany() const { return bytes_ >= kMostBytes; }
  /// Has the last key too much to be one of them?
  bool LastIsLarge() const { return keys_.back().rows() > kMostRows || last_bytes_ > kMostBytes; }
  SmallKey TakeLast();

  /// Sends the questions and does not wait.
  Status Ask();
  /// Takes the answers, after which nothing is on its way, and the keys with them.
  Result<std::deque<SmallKey>> Take();

 private:
  static constexpr size_t kMostRows = 500;
  static constexpr size_t kMostBytes = 128 * 1024;

  /// Is the reply what the source has?
  using Confirms = bool (*)(SmallKey&, const redisReply&, const Allowance&);

  Status AskFor(SmallKey& key);
  Status AskForScores(SmallKey& key, const std::string& name);
  Status AskForMembers(SmallKey& key, const std::string& name);
  Status AskOne(SmallKey& key, const std::vector<std::string_view>& words, Confirms confirms);

  const Structure& structure_;
  const Allowance allowance_;
  const std::string prefix_;
  std::deque<SmallKey> keys_;  // a deque: who takes an answer holds a key by its address
  size_t bytes_ = 0;
  size_t last_bytes_ = 0;  // of the last key
  Pipeline pipeline_;
};

/// Who compares one key after the other.
class KeyByKey {
 public:
  virtual ~KeyByKey() = default;
  /// Of whichever key. Redis is asked for it.
  virtual Status Add(const SourceRow& row) = 0;
  virtual Status EndKey() = 0;
  // Of a key that was looked at.
  virtual void AddSame(const SmallKey& key) = 0;
  virtual Status AddMissing(const SmallKey& key) = 0;
};

/// Takes rows as they come and hands them on: of small keys when it is known what Redis has.
class LookAhead {
 public:
  /// All outlive this.
  LookAhead(const Structure& structure, RedisClient& redis, const std::string& prefix, KeyByKey& key_by_key);

  Status Add(const SourceRow& row);
  /// After the last row.
  Status Finish();

 private:
  Status AskGathered();
  Status TakeAsked();
  Status HandOn(const SmallKey& key);

  KeyByKey& key_by_key_;
  const bool is_of_use_;  // not of streams, nor where some members are not looked at
  std::unique_ptr<SmallKeys> gathered_;
  std::unique_ptr<SmallKeys> asked_;      // while Redis answers for these, the next ones are gathered
  std::optional<std::string> large_key_;  // whose rows are handed on as they come
};

}  // namespace sprockets
