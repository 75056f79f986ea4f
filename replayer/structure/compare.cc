#include "replayer/structure/compare.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "replayer/redis/pipeline.h"
#include "replayer/structure/allowance.h"
#include "replayer/structure/loader.h"
#include "replayer/structure/small_keys.h"
#include "replayer/structure/trimmed_head.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr size_t kPageEntries = 1000;
constexpr size_t kStreamPageEntries = 200;
constexpr size_t kBatchMembers = 500;
constexpr size_t kMostUnpaired = 10'000;  // members of a zset that wait for their other half

constexpr std::string_view kOwnKeys = "sprockets:";  // what a rebuild at work writes matches a glob like any other

std::string Encode(std::initializer_list<std::string_view> words) {
  std::string wire;
  AppendCommand(wire, {words.begin(), words.size()});
  return wire;
}

std::string ShowFields(const std::vector<std::string_view>& fields) {
  std::string shown;
  AppendArrayHeader(shown, fields.size());
  for (const std::string_view field : fields) AppendBulk(shown, field);
  return shown;
}

/// As a constant of SQL, whatever the name is: its bytes in hexadecimal, which is nothing but digits. What is no UTF-8
/// is no text of the source's either.
std::string QuoteLiteral(std::string_view text) {
  if (!IsUtf8(text) || text.find('\0') != std::string_view::npos) return "NULL";
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const char letter : text) {
    hex += kDigits[static_cast<unsigned char>(letter) >> 4];
    hex += kDigits[static_cast<unsigned char>(letter) & 15];
  }
  return "convert_from(decode('" + hex + "', 'hex'), 'UTF8')";
}

/// Says what differs, until the listener has enough.
class Teller {
 public:
  Teller(RedisKind kind, const OnDifference& on_difference, Compared* compared)
      : type_(NameOf(kind)), on_difference_(on_difference), compared_(compared) {}
  void set_key(std::string_view key) { key_ = key; }
  void Tell(Problem problem, std::string_view member, std::optional<std::string> expected,
            std::optional<std::string> actual) {
    Tell(Difference{key_, type_, problem, std::string(member), std::move(expected), std::move(actual)});
  }
  /// Of the whole key.
  void TellOfKey(Problem problem, std::optional<std::string> expected, std::optional<std::string> actual) {
    Tell(Difference{key_, type_, problem, std::nullopt, std::move(expected), std::move(actual)});
  }
  bool enough() const { return enough_; }

 private:
  void Tell(Difference difference) {
    if (enough_) return;
    ++compared_->differences;
    enough_ = !on_difference_(difference);
  }

  const std::string type_;
  const OnDifference& on_difference_;
  Compared* const compared_;
  std::string key_;
  bool enough_ = false;
};

/// Reads a key page by page, the next one on its way while this one is looked at.
class Pages {
 public:
  Pages(RedisClient& redis, std::string name, RedisKind kind) : redis_(redis), name_(std::move(name)), kind_(kind) {
    Ask();
  }
  ~Pages() { static_cast<void>(Close()); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  /// Is there another element? What was taken before is gone then.
  Result<bool> HasNext() {
    while (at_ == size() && command_) RETURN_IF_ERROR(ReadPage());
    return at_ < size();
  }
  /// A member and then its score, or an entry.
  const redisReply& Take() { return *page_->element[at_++]; }
  /// Nothing may stay on its way when somebody else uses the connection.
  Status Close() {
    if (!command_) return {};
    command_.reset();
    return redis_.Receive().ok() ? Status() : Status(Error{ErrorCode::kUnreachable, "Redis is gone"});
  }

 private:
  size_t size() const { return page_ ? page_->elements : 0; }

  Status ReadPage() {
    ASSIGN_OR_RETURN(page_, redis_.Receive());
    command_.reset();
    at_ = 0;
    RETURN_IF_ERROR(RefuseError(*page_));
    const size_t full = kind_ == RedisKind::kZset ? 2 * kPageEntries : kStreamPageEntries;
    begin_ += kPageEntries;
    if (page_->elements == full) Ask();
    return {};
  }

  void Ask() {
    if (kind_ == RedisKind::kZset) {
      command_ =
          Encode({"ZRANGE", name_, std::to_string(begin_), std::to_string(begin_ + kPageEntries - 1), "WITHSCORES"});
    } else {
      const std::string after =
          page_ ? "(" + std::string(TextOf(*page_->element[page_->elements - 1]->element[0])) : std::string("-");
      command_ = Encode({"XRANGE", name_, after, "+", "COUNT", std::to_string(kStreamPageEntries)});
    }
    redis_.Queue(*command_);
    redis_.Pump();
  }

  RedisClient& redis_;
  const std::string name_;
  const RedisKind kind_;
  size_t begin_ = 0;
  std::optional<std::string> command_;  // on its way
  RedisClient::Reply page_;
  size_t at_ = 0;  // in it
};

/// One key. Rows come sorted as Redis has them.
class KeyComparer {
 public:
  virtual ~KeyComparer() = default;
  virtual Status Add(const SourceRow& row) = 0;
  virtual Status Finish() = 0;
  /// Of a stream: the last entry of Redis's that was looked at.
  virtual StreamId last_entry() const { return kStreamBegin; }
};

/// Both sides sorted by score and member: what is behind on one side is missing on the other. A member whose score
/// differs shows up twice, and is put together again at the end.
class ZsetComparer : public KeyComparer {
 public:
  ZsetComparer(RedisClient& redis, const std::string& name, Teller& teller)
      : pages_(redis, name, RedisKind::kZset), teller_(teller) {}

  Status Add(const SourceRow& row) override {
    while (true) {
      RETURN_IF_ERROR(Load());
      if (!has_ || std::pair(row.score, row.member) < std::pair(score_, member_)) {
        missing_.emplace(row.member, row.score);
        return TellIfMany();
      }
      const bool same = score_ == row.score && member_ == row.member;
      if (!same) extra_.emplace(member_, score_);
      has_ = false;
      if (same) return {};
      RETURN_IF_ERROR(TellIfMany());
    }
  }

  Status Finish() override {
    RETURN_IF_ERROR(Load());
    while (has_ && !teller_.enough()) {
      extra_.emplace(member_, score_);
      has_ = false;
      RETURN_IF_ERROR(TellIfMany());
      RETURN_IF_ERROR(Load());
    }
    TellUnpaired();
    return pages_.Close();
  }

 private:
  Status Load() {
    while (!has_) {
      ASSIGN_OR_RETURN(const bool more, pages_.HasNext());
      if (!more) return {};
      member_ = TextOf(pages_.Take());
      score_ = ParseScore(TextOf(pages_.Take()));
      has_ = IsNew();
    }
    return {};
  }

  /// Pages go by rank, and a member that somebody adds meanwhile moves the others on: what comes again was seen.
  bool IsNew() {
    const bool is_first = !std::exchange(any_, true);
    if (!is_first && std::pair<double, std::string_view>(score_, member_) <=
                         std::pair<double, std::string_view>(last_score_, last_member_))
      return false;
    last_score_ = score_;
    last_member_ = member_;
    return true;
  }

  Status TellIfMany() {
    if (missing_.size() + extra_.size() > kMostUnpaired) TellUnpaired();
    return {};
  }

  void TellUnpaired() {
    for (const auto& [member, score] : missing_) {
      const auto other = extra_.find(member);
      if (other == extra_.end()) {
        teller_.Tell(Problem::kMissing, member, FormatScore(score), std::nullopt);
      } else {
        teller_.Tell(Problem::kDifferent, member, FormatScore(score), FormatScore(other->second));
        extra_.erase(other);
      }
    }
    for (const auto& [member, score] : extra_) teller_.Tell(Problem::kExtra, member, std::nullopt, FormatScore(score));
    missing_.clear();
    extra_.clear();
  }

  Pages pages_;
  Teller& teller_;
  bool has_ = false;  // member_ and score_ are Redis's next
  bool any_ = false;  // last_member_ and last_score_ are those of the last one
  std::string last_member_;
  double last_score_ = 0;
  std::string_view member_;
  double score_ = 0;
  std::map<std::string, double, std::less<>> missing_;
  std::map<std::string, double, std::less<>> extra_;
};

class StreamComparer : public KeyComparer {
 public:
  /// What Redis lacks above its own last entry is asked for up to `asked_up_to` only; none: up to the end. It may lack
  /// `head`.
  StreamComparer(RedisClient& redis, const std::string& name, std::optional<StreamId> asked_up_to,
                 const TrimmedHead& head, Teller& teller)
      : pages_(redis, name, RedisKind::kStream), asked_up_to_(asked_up_to), head_(head), teller_(teller) {}

  Status Add(const SourceRow& row) override {
    while (true) {
      RETURN_IF_ERROR(Load());
      if (!has_ && asked_up_to_ && row.id > *asked_up_to_) return {};
      if (!has_ || row.id < id_) {
        if (row.id < head_.first && trimmed_ < head_.entries) {
          ++trimmed_;
          return {};
        }
        teller_.Tell(Problem::kMissing, ToString(row.id), ShowFields(row.fields), std::nullopt);
        return {};
      }
      has_ = false;
      if (row.id == id_) {
        if (fields_ != row.fields)
          teller_.Tell(Problem::kDifferent, ToString(id_), ShowFields(row.fields), ShowFields(fields_));
        return {};
      }
      teller_.Tell(Problem::kExtra, ToString(id_), std::nullopt, ShowFields(fields_));
    }
  }

  Status Finish() override {
    RETURN_IF_ERROR(Load());
    while (has_ && !teller_.enough()) {
      teller_.Tell(Problem::kExtra, ToString(id_), std::nullopt, ShowFields(fields_));
      has_ = false;
      RETURN_IF_ERROR(Load());
    }
    return pages_.Close();
  }

  StreamId last_entry() const override { return id_; }

 private:
  Status Load() {
    if (has_) return {};
    ASSIGN_OR_RETURN(has_, pages_.HasNext());
    if (!has_) return {};
    const redisReply& entry = pages_.Take();
    const auto id = ParseStreamId(TextOf(*entry.element[0]));
    if (!id) return Error{ErrorCode::kRefused, "XRANGE gave an entry without an id"};
    id_ = *id;
    fields_.clear();
    for (size_t i = 0; i < entry.element[1]->elements; ++i) fields_.push_back(TextOf(*entry.element[1]->element[i]));
    return {};
  }

  Pages pages_;
  const std::optional<StreamId> asked_up_to_;
  const TrimmedHead head_;
  Teller& teller_;
  uint64_t trimmed_ = 0;  // entries of the head that are not there
  bool has_ = false;
  StreamId id_;
  std::vector<std::string_view> fields_;
};

/// A table of a kind: how its members are asked for by name, and how all of them are read.
struct TableCommands {
  std::string_view ask;
  std::string_view scan;
  bool has_values;
};

TableCommands CommandsOf(RedisKind kind) {
  if (kind == RedisKind::kZset) return {"ZMSCORE", "ZSCAN", true};
  if (kind == RedisKind::kHash) return {"HMGET", "HSCAN", true};
  return {"SMISMEMBER", "SSCAN", false};
}

/// How many of `members` the key has.
Result<uint64_t> CountThere(RedisClient& redis, RedisKind kind, std::string_view key,
                            const std::vector<std::string>& members) {
  if (members.empty()) return uint64_t{0};
  std::vector<std::string_view> words{CommandsOf(kind).ask, key};
  words.insert(words.end(), members.begin(), members.end());
  std::string wire;
  AppendCommand(wire, words);
  redis.Queue(wire);
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Receive());
  RETURN_IF_ERROR(RefuseError(*reply));
  uint64_t there = 0;
  for (size_t i = 0; i < reply->elements; ++i) {
    const redisReply& one = *reply->element[i];
    there += one.type == REDIS_REPLY_STRING || (one.type == REDIS_REPLY_INTEGER && one.integer == 1) ? 1 : 0;
  }
  return there;
}

/// Hash and set have no order, and a zset has none where its scores may differ from the source's: each batch of the
/// source is asked for by name, and what Redis has besides shows in the count. Only then is the whole key read, against
/// 64 bits of each name.
class TableComparer : public KeyComparer {
 public:
  TableComparer(RedisClient& redis, std::string name, const Structure& structure, Teller& teller)
      : redis_(redis),
        name_(std::move(name)),
        structure_(structure),
        allowance_(structure),
        commands_(CommandsOf(structure.kind)),
        teller_(teller) {}

  Status Add(const SourceRow& row) override {
    batch_.push_back({std::string(row.member), std::string(row.value), row.score});
    known_.push_back(std::hash<std::string_view>()(row.member));
    return batch_.size() < kBatchMembers ? Status() : CompareBatch();
  }

  Status Finish() override {
    RETURN_IF_ERROR(CompareBatch());
    // Then Redis may have any other member.
    if (structure_.values == Structure::Values::kAtLeast) return {};
    ASSIGN_OR_RETURN(const uint64_t count, CountOf(redis_, structure_.kind, name_));
    ASSIGN_OR_RETURN(const uint64_t ignored, CountThere(redis_, structure_.kind, name_, structure_.ignored_members));
    if (count == found_ + ignored || teller_.enough()) return {};
    std::sort(known_.begin(), known_.end());
    return TellExtra();
  }

 private:
  struct Member {
    std::string name;
    std::string value;
    double score = 0;
  };
  bool is_zset() const { return structure_.kind == RedisKind::kZset; }

  Status CompareBatch() {
    if (batch_.empty()) return {};
    std::vector<std::string_view> words{commands_.ask, name_};
    for (const Member& member : batch_) words.push_back(member.name);
    std::string wire;
    AppendCommand(wire, words);
    redis_.Queue(wire);
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Receive());
    RETURN_IF_ERROR(RefuseError(*reply));
    for (size_t i = 0; i < batch_.size() && i < reply->elements; ++i) CompareOne(batch_[i], *reply->element[i]);
    batch_.clear();
    return {};
  }

  void CompareOne(const Member& member, const redisReply& actual) {
    const bool there = commands_.has_values ? actual.type == REDIS_REPLY_STRING : actual.integer == 1;
    found_ += there ? 1 : 0;
    std::optional<std::string> expected;
    if (commands_.has_values) expected = is_zset() ? FormatScore(member.score) : member.value;
    if (!there) {
      if (!is_zset() || !allowance_.MayBeMissing(member.score))
        teller_.Tell(Problem::kMissing, member.name, std::move(expected), std::nullopt);
      return;
    }
    if (!commands_.has_values) return;
    const double score = is_zset() ? ParseScore(TextOf(actual)) : 0;
    const bool fits =
        is_zset() ? allowance_.Fits(member.score, score) : allowance_.FitsText(member.value, TextOf(actual));
    if (fits) return;
    teller_.Tell(Problem::kDifferent, member.name, std::move(expected),
                 is_zset() ? FormatScore(score) : std::string(TextOf(actual)));
  }

  Status TellExtra() {
    std::string cursor = "0";
    std::set<std::string> told;  // a scan may give a member twice
    do {
      ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Call({commands_.scan, name_, cursor, "COUNT", "1000"}));
      RETURN_IF_ERROR(RefuseError(*reply));
      cursor = TextOf(*reply->element[0]);
      const redisReply& page = *reply->element[1];
      for (size_t i = 0; i < page.elements; i += commands_.has_values ? 2 : 1) {
        const std::string_view member = TextOf(*page.element[i]);
        if (std::binary_search(known_.begin(), known_.end(), std::hash<std::string_view>()(member))) continue;
        if (allowance_.IsIgnored(member)) continue;
        std::optional<std::string> actual;
        if (commands_.has_values) actual = TextOf(*page.element[i + 1]);
        if (is_zset()) {
          const double score = ParseScore(*actual);
          if (allowance_.MayBeExtra(score)) continue;
          actual = FormatScore(score);
        }
        if (told.emplace(member).second) teller_.Tell(Problem::kExtra, member, std::nullopt, std::move(actual));
      }
    } while (cursor != "0" && !teller_.enough());
    return {};
  }

  RedisClient& redis_;
  const std::string name_;
  const Structure& structure_;
  const Allowance allowance_;
  const TableCommands commands_;
  Teller& teller_;
  std::vector<Member> batch_;
  std::vector<size_t> known_;
  uint64_t found_ = 0;
};

/// Has the key anything that somebody asks for? One of another type has.
Result<bool> HasMembers(RedisClient& redis, const Structure& structure, const std::string& key) {
  ASSIGN_OR_RETURN(const RedisClient::Reply type, redis.Call({"TYPE", key}));
  RETURN_IF_ERROR(RefuseError(*type));
  if (TextOf(*type) == "none") return false;
  if (TextOf(*type) != NameOf(structure.kind)) return true;
  if (structure.kind == RedisKind::kStream || structure.kind == RedisKind::kString) return true;
  std::string cursor = "0";
  const TableCommands commands = CommandsOf(structure.kind);
  const Allowance allowance(structure);
  do {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({commands.scan, key, cursor, "COUNT", "1000"}));
    RETURN_IF_ERROR(RefuseError(*reply));
    cursor = TextOf(*reply->element[0]);
    const redisReply& page = *reply->element[1];
    for (size_t i = 0; i < page.elements; i += commands.has_values ? 2 : 1) {
      if (allowance.IsIgnored(TextOf(*page.element[i]))) continue;
      if (structure.zeros_optional && allowance.MayBeExtra(ParseScore(TextOf(*page.element[i + 1])))) continue;
      return true;
    }
  } while (cursor != "0");
  return false;
}

class StringComparer : public KeyComparer {
 public:
  StringComparer(RedisClient& redis, std::string name, Teller& teller)
      : redis_(redis), name_(std::move(name)), teller_(teller) {}
  Status Add(const SourceRow& row) override {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Call({"GET", name_}));
    RETURN_IF_ERROR(RefuseError(*reply));
    if (TextOf(*reply) != row.value)
      teller_.TellOfKey(Problem::kDifferent, std::string(row.value), std::string(TextOf(*reply)));
    return {};
  }
  Status Finish() override { return {}; }

 private:
  RedisClient& redis_;
  const std::string name_;
  Teller& teller_;
};

/// Goes from key to key.
class StructureComparer : public KeyByKey {
 public:
  StructureComparer(const Structure& structure, RedisClient& redis, const std::string& prefix,
                    const OnDifference& on_difference, std::vector<ComparedKey>* keys)
      : structure_(structure),
        allowance_(structure),
        redis_(redis),
        prefix_(prefix),
        teller_(structure.kind, on_difference, &compared_),
        keys_(keys) {}

  Status Add(const SourceRow& row) override {
    if (!in_key_ || row.key != key_) {
      RETURN_IF_ERROR(EndKey());
      RETURN_IF_ERROR(BeginKey(row));
    }
    return AddToKey(row);
  }

  void AddSame(const SmallKey& key) override {
    CountKey(key.key());
    compared_.rows += key.rows();
    if (keys_ != nullptr) keys_->back().rows = key.rows();
  }

  Status AddMissing(const SmallKey& key) override {
    const auto add = [this](const SourceRow& row) -> Status {
      if (!in_key_) RETURN_IF_ERROR(OpenKey(row, "none", 0));
      return AddToKey(row);
    };
    RETURN_IF_ERROR(key.Visit(add));
    return EndKey();
  }

  Status EndKey() override {
    in_key_ = false;
    if (comparer_ == nullptr) return {};
    const std::unique_ptr<KeyComparer> comparer = std::move(comparer_);
    RETURN_IF_ERROR(comparer->Finish());
    if (keys_ != nullptr) keys_->back().last_entry = comparer->last_entry();
    return {};
  }

  Status AddToKey(const SourceRow& row) {
    if (teller_.enough()) return Error{ErrorCode::kStopped, "enough"};  // ends the source's COPY
    if (skip_) return {};
    ++compared_.rows;
    if (keys_ != nullptr) ++keys_->back().rows;
    if (has_members() && allowance_.IsIgnored(row.member)) return {};
    if (is_missing_) return TellMissingKey(row);
    return comparer_ ? comparer_->Add(row) : Status();
  }

  /// After the last row: what Redis has and the source has not.
  Status Finish() {
    RETURN_IF_ERROR(EndKey());
    std::vector<std::string> keys;
    if (structure_.key) {
      keys.push_back(*structure_.key);
    } else if (structure_.keys_glob && prefix_.empty()) {
      ASSIGN_OR_RETURN(keys, ScanKeys(redis_, *structure_.keys_glob));
    }
    for (const std::string& key : keys) {
      if (teller_.enough()) break;
      if (seen_.contains(key) || key.starts_with(kOwnKeys)) continue;
      ASSIGN_OR_RETURN(const RedisClient::Reply type, redis_.Call({"TYPE", prefix_ + key}));
      if (TextOf(*type) == "none") continue;
      if (TextOf(*type) == NameOf(structure_.kind)) {
        if (structure_.values == Structure::Values::kAtLeast) continue;
        if (!allowance_.IsExact()) {
          ASSIGN_OR_RETURN(const bool has_members, HasMembers(redis_, structure_, prefix_ + key));
          if (!has_members) continue;
        }
      }
      teller_.set_key(key);
      ASSIGN_OR_RETURN(const uint64_t count, CountOf(redis_, structure_.kind, prefix_ + key));
      teller_.TellOfKey(Problem::kExtra, std::nullopt, std::string(TextOf(*type)) + " of " + std::to_string(count));
    }
    return {};
  }

  bool enough() const { return teller_.enough(); }
  const Compared& compared() const { return compared_; }

 private:
  Status BeginKey(const SourceRow& row) {
    in_key_ = true;
    key_ = row.key;
    skip_ = row.expire_at_ms && *row.expire_at_ms <= WallClockMs();
    if (skip_) return {};
    const std::string name = prefix_ + key_;
    const std::string commands = Encode({"TYPE", name}) + Encode({"PEXPIRETIME", name});
    redis_.Queue(commands);
    ASSIGN_OR_RETURN(const RedisClient::Reply type, redis_.Receive());
    ASSIGN_OR_RETURN(const RedisClient::Reply expiry, redis_.Receive());
    RETURN_IF_ERROR(RefuseError(*type));
    return OpenKey(row, TextOf(*type), expiry->integer);
  }

  void CountKey(const std::string& key) {
    if (structure_.key || structure_.keys_glob) seen_.insert(key);
    ++compared_.keys;
    if (keys_ != nullptr) keys_->push_back({key, 0, kStreamBegin});
  }

  /// Redis has it with this type, or "none", and this end of life.
  Status OpenKey(const SourceRow& row, std::string_view actual, int64_t expire_at_ms) {
    in_key_ = true;
    skip_ = false;
    key_ = row.key;
    teller_.set_key(key_);
    CountKey(key_);
    const std::string name = prefix_ + key_;
    ASSIGN_OR_RETURN(asked_up_to_, AskedUpTo());
    // A counter that is missing is told by its own name.
    is_missing_ = actual == "none" && structure_.values != Structure::Values::kAtLeast;
    if (is_missing_) return {};
    if (actual == "none") {
      comparer_ = NewComparer(name, TrimmedHead());
      return {};
    }
    if (actual != NameOf(structure_.kind)) {
      teller_.TellOfKey(Problem::kType, std::string(NameOf(structure_.kind)), std::string(actual));
      return {};
    }
    const std::string wanted = std::to_string(row.expire_at_ms.value_or(-1));
    if (const std::string found = std::to_string(expire_at_ms); found != wanted)
      teller_.TellOfKey(Problem::kExpiry, wanted, found);
    TrimmedHead head;
    if (structure_.trimmed_allowed && prefix_.empty()) {
      ASSIGN_OR_RETURN(head, LookAtHead(redis_, name));
    }
    comparer_ = NewComparer(name, head);
    return {};
  }

  bool has_members() const { return structure_.kind != RedisKind::kStream && structure_.kind != RedisKind::kString; }

  /// At its first row that Redis may not lack.
  Status TellMissingKey(const SourceRow& row) {
    if (asked_up_to_ && row.id > *asked_up_to_) return {};
    if (structure_.zeros_optional && allowance_.MayBeMissing(row.score)) return {};
    is_missing_ = false;
    teller_.TellOfKey(Problem::kMissing, std::string(NameOf(structure_.kind)), std::nullopt);
    return {};
  }

  /// How far the key must have been filled, as the zset of `-- up-to:` says: 0-0 where it does not name the key. None:
  /// wholly, since there is no such zset or the key is not a live one. It must be asked before the key is read: what is
  /// filled meanwhile is filled before its score rises.
  Result<std::optional<StreamId>> AskedUpTo() {
    if (!structure_.up_to || !prefix_.empty()) return std::optional<StreamId>();
    if (!has_marks_) {
      ASSIGN_OR_RETURN(const RedisClient::Reply there, redis_.Call({"EXISTS", *structure_.up_to}));
      RETURN_IF_ERROR(RefuseError(*there));
      has_marks_ = there->integer == 1;
    }
    if (!*has_marks_) return std::optional<StreamId>();
    const std::string member = key_.substr(structure_.keys_glob->size() - 1);
    ASSIGN_OR_RETURN(const RedisClient::Reply score, redis_.Call({"ZSCORE", *structure_.up_to, member}));
    RETURN_IF_ERROR(RefuseError(*score));
    if (score->type != REDIS_REPLY_STRING) return std::optional(kStreamBegin);
    const double up_to = std::clamp(ParseScore(TextOf(*score)), 0.0, 9007199254740992.0);
    return std::optional(StreamId{0, static_cast<uint64_t>(up_to)});
  }

  std::unique_ptr<KeyComparer> NewComparer(const std::string& name, const TrimmedHead& head) {
    switch (structure_.kind) {
      case RedisKind::kZset:
        if (!allowance_.IsExact()) return std::make_unique<TableComparer>(redis_, name, structure_, teller_);
        return std::make_unique<ZsetComparer>(redis_, name, teller_);
      case RedisKind::kStream:
        return std::make_unique<StreamComparer>(redis_, name, asked_up_to_, head, teller_);
      case RedisKind::kHash:
      case RedisKind::kSet:
        return std::make_unique<TableComparer>(redis_, name, structure_, teller_);
      case RedisKind::kString:
        return std::make_unique<StringComparer>(redis_, name, teller_);
    }
    return nullptr;
  }

  const Structure& structure_;
  const Allowance allowance_;
  RedisClient& redis_;
  const std::string prefix_;
  Compared compared_;
  Teller teller_;
  std::string key_;
  bool in_key_ = false;
  bool skip_ = false;
  bool is_missing_ = false;  // Redis lacks the key, which is not told yet
  std::optional<bool> has_marks_;
  std::optional<StreamId> asked_up_to_;
  std::unique_ptr<KeyComparer> comparer_;  // none: nothing to compare in this key
  std::set<std::string, std::less<>> seen_;
  std::vector<ComparedKey>* const keys_;  // null: not asked for
};

}  // namespace

Result<Compared> Compare(Source& source, const Structure& structure, RedisClient& redis, const std::string& prefix,
                         const OnDifference& on_difference, std::vector<ComparedKey>* keys) {
  StructureComparer comparer(structure, redis, prefix, on_difference, keys);
  LookAhead look_ahead(structure, redis, prefix, comparer);
  Status visited = source.Visit(Source::Order::kAsRedis, [&](const SourceRow& row) { return look_ahead.Add(row); });
  if (visited.ok()) visited = look_ahead.Finish();
  if (!visited.ok() && visited.error().code != ErrorCode::kStopped) return visited.error();
  if (comparer.enough()) {
    RETURN_IF_ERROR(comparer.EndKey());
  } else {
    RETURN_IF_ERROR(comparer.Finish());
  }
  return comparer.compared();
}

Structure OnlyKeys(Structure structure, const std::set<std::string>& keys) {
  structure.keys_glob.reset();
  if (structure.key) return structure;
  std::string literals;
  for (const std::string& key : keys) literals += (literals.empty() ? "" : ", ") + QuoteLiteral(key);
  structure.query =
      "SELECT * FROM (\n" + structure.query + "\n) AS given WHERE given.key = ANY (ARRAY[" + literals + "]::text[])";
  return structure;
}

Result<Structure> OnlyUsedKeys(const Structure& structure, RedisClient& redis) {
  if (!structure.unused_keys_allowed) return structure;
  ASSIGN_OR_RETURN(const std::vector<std::string> keys, ScanKeys(redis, *structure.keys_glob));
  bool is_any_there = false;
  std::set<std::string> used = structure.written_keys;
  for (const std::string& key : keys) {
    if (key.starts_with(kOwnKeys)) continue;
    is_any_there = true;
    ASSIGN_OR_RETURN(const bool has_members, HasMembers(redis, structure, key));
    if (has_members) used.insert(key);
  }
  if (!is_any_there) return structure;
  Structure only_used = OnlyKeys(structure, used);
  only_used.keys_glob = structure.keys_glob;
  return only_used;
}

Result<std::vector<std::string>> ScanKeys(RedisClient& redis, std::string_view glob) {
  std::set<std::string> keys;
  std::string cursor = "0";
  do {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({"SCAN", cursor, "MATCH", glob, "COUNT", "1000"}));
    RETURN_IF_ERROR(RefuseError(*reply));
    cursor = TextOf(*reply->element[0]);
    for (size_t i = 0; i < reply->element[1]->elements; ++i) keys.emplace(TextOf(*reply->element[1]->element[i]));
  } while (cursor != "0");
  return std::vector<std::string>(keys.begin(), keys.end());
}

Result<uint64_t> CountOf(RedisClient& redis, RedisKind kind, std::string_view key) {
  constexpr std::array<std::string_view, 5> kCommands{"ZCARD", "XLEN", "HLEN", "SCARD", "EXISTS"};
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({kCommands[static_cast<size_t>(kind)], key}));
  if (IsError(*reply) && IsWrongType(TextOf(*reply))) return uint64_t{0};
  RETURN_IF_ERROR(RefuseError(*reply));
  return static_cast<uint64_t>(reply->integer);
}

}  // namespace sprockets
