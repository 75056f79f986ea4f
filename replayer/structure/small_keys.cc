#include "replayer/structure/small_keys.h"

#include <string_view>
#include <utility>

#include "replayer/structure/loader.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

bool IsOfUse(const Structure& structure) {
  if (structure.key || structure.kind == RedisKind::kStream || !structure.ignored_members.empty()) return false;
  return structure.kind != RedisKind::kZset || Allowance(structure).IsExact();
}

}  // namespace

void SmallKey::Add(const SourceRow& row) {
  rows_.push_back({std::string(row.member), std::string(row.value), row.score});
}

SmallKey::Seen SmallKey::seen() const {
  if (!is_asked_) return Seen::kUnknown;
  if (is_missing_) return Seen::kMissing;
  return unconfirmed_ == 0 ? Seen::kSame : Seen::kUnknown;
}

Status SmallKey::Visit(const std::function<Status(const SourceRow&)>& visitor) const {
  SourceRow row;
  row.key = key_;
  row.expire_at_ms = expire_at_ms_;
  for (const Row& own : rows_) {
    row.member = own.member;
    row.value = own.value;
    row.score = own.score;
    RETURN_IF_ERROR(visitor(row));
  }
  return {};
}

/// Both sides are sorted by score and member.
bool SmallKey::HasScores(const redisReply& members_and_scores) const {
  if (members_and_scores.elements != 2 * rows_.size()) return false;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (TextOf(*members_and_scores.element[2 * i]) != rows_[i].member) return false;
    if (ParseScore(TextOf(*members_and_scores.element[2 * i + 1])) != rows_[i].score) return false;
  }
  return true;
}

bool SmallKey::HasValues(const redisReply& values, const Allowance& allowance) const {
  if (values.elements != rows_.size()) return false;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const redisReply& value = *values.element[i];
    if (value.type != REDIS_REPLY_STRING || !allowance.FitsText(rows_[i].value, TextOf(value))) return false;
  }
  return true;
}

bool SmallKey::HasMembers(const redisReply& flags) const {
  if (flags.elements != rows_.size()) return false;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (flags.element[i]->integer != 1) return false;
  }
  return true;
}

void SmallKeys::Add(const SourceRow& row) {
  constexpr size_t kOverhead = 100;  // of a row that is held
  if (keys_.empty() || keys_.back().key() != row.key) {
    keys_.emplace_back(row);
    last_bytes_ = 0;
  }
  keys_.back().Add(row);
  const size_t bytes = row.member.size() + row.value.size() + kOverhead;
  bytes_ += bytes;
  last_bytes_ += bytes;
}

SmallKey SmallKeys::TakeLast() {
  SmallKey last = std::move(keys_.back());
  keys_.pop_back();
  bytes_ -= std::exchange(last_bytes_, 0);
  return last;
}

Status SmallKeys::Ask() {
  const int64_t now_ms = WallClockMs();
  for (SmallKey& key : keys_) {
    if (!key.HasExpired(now_ms)) RETURN_IF_ERROR(AskFor(key));
  }
  return pipeline_.Send();
}

Status SmallKeys::AskFor(SmallKey& key) {
  const std::string name = prefix_ + key.key();
  key.is_asked_ = true;
  RETURN_IF_ERROR(AskOne(key, {"PEXPIRETIME", name}, [](SmallKey& asked, const redisReply& reply, const Allowance&) {
    asked.is_missing_ = reply.integer == -2;
    return reply.integer == asked.expire_at_ms_.value_or(-1);
  }));
  switch (structure_.kind) {
    case RedisKind::kZset:
      return AskForScores(key, name);
    case RedisKind::kHash:
    case RedisKind::kSet:
      return AskForMembers(key, name);
    case RedisKind::kString:
      return AskOne(key, {"GET", name}, [](SmallKey& asked, const redisReply& reply, const Allowance&) {
        return reply.type == REDIS_REPLY_STRING && TextOf(reply) == asked.rows_.front().value;
      });
    case RedisKind::kStream:
      break;
  }
  SPROCKETS_ASSERT(false);
  return {};
}

Status SmallKeys::AskForScores(SmallKey& key, const std::string& name) {
  const std::string end = std::to_string(key.rows());  // one more than there should be
  return AskOne(key, {"ZRANGE", name, "0", end, "WITHSCORES"},
                [](SmallKey& asked, const redisReply& reply, const Allowance&) { return asked.HasScores(reply); });
}

/// By name, and what Redis has besides shows in the count.
Status SmallKeys::AskForMembers(SmallKey& key, const std::string& name) {
  const bool is_hash = structure_.kind == RedisKind::kHash;
  std::vector<std::string_view> words{is_hash ? "HMGET" : "SMISMEMBER", name};
  for (const SmallKey::Row& row : key.rows_) words.push_back(row.member);
  const Confirms has_values = [](SmallKey& asked, const redisReply& reply, const Allowance& allowance) {
    return asked.HasValues(reply, allowance);
  };
  const Confirms has_members = [](SmallKey& asked, const redisReply& reply, const Allowance&) {
    return asked.HasMembers(reply);
  };
  RETURN_IF_ERROR(AskOne(key, words, is_hash ? has_values : has_members));
  if (structure_.values == Structure::Values::kAtLeast) return {};  // then Redis may have any other member
  return AskOne(key, {is_hash ? "HLEN" : "SCARD", name},
                [](SmallKey& asked, const redisReply& reply, const Allowance&) {
                  return static_cast<uint64_t>(reply.integer) == asked.rows();
                });
}

/// An error reply confirms nothing: who compares the key by itself meets it again.
Status SmallKeys::AskOne(SmallKey& key, const std::vector<std::string_view>& words, Confirms confirms) {
  ++key.unconfirmed_;
  return pipeline_.Add(words, [this, &key, confirms](const redisReply& reply) {
    if (!IsError(reply) && confirms(key, reply, allowance_)) --key.unconfirmed_;
    return Status();
  });
}

Result<std::deque<SmallKey>> SmallKeys::Take() {
  RETURN_IF_ERROR(pipeline_.Finish());
  bytes_ = 0;
  last_bytes_ = 0;
  return std::exchange(keys_, {});
}

LookAhead::LookAhead(const Structure& structure, RedisClient& redis, const std::string& prefix, KeyByKey& key_by_key)
    : key_by_key_(key_by_key),
      is_of_use_(IsOfUse(structure)),
      gathered_(std::make_unique<SmallKeys>(structure, redis, prefix)),
      asked_(std::make_unique<SmallKeys>(structure, redis, prefix)) {}

Status LookAhead::Add(const SourceRow& row) {
  if (!is_of_use_ || row.key == large_key_) return key_by_key_.Add(row);
  if (large_key_) RETURN_IF_ERROR(key_by_key_.EndKey());
  large_key_.reset();
  if (gathered_->AreMany() && !gathered_->EndWith(row.key)) {
    RETURN_IF_ERROR(TakeAsked());
    RETURN_IF_ERROR(AskGathered());
  }
  gathered_->Add(row);
  if (!gathered_->LastIsLarge()) return {};
  const SmallKey large = gathered_->TakeLast();
  RETURN_IF_ERROR(Finish());
  large_key_ = large.key();
  return large.Visit([this](const SourceRow& own) { return key_by_key_.Add(own); });
}

Status LookAhead::Finish() {
  RETURN_IF_ERROR(TakeAsked());
  RETURN_IF_ERROR(AskGathered());
  return TakeAsked();
}

Status LookAhead::AskGathered() {
  std::swap(asked_, gathered_);
  return asked_->Ask();
}

Status LookAhead::TakeAsked() {
  ASSIGN_OR_RETURN(const std::deque<SmallKey> keys, asked_->Take());
  for (const SmallKey& key : keys) RETURN_IF_ERROR(HandOn(key));
  return {};
}

Status LookAhead::HandOn(const SmallKey& key) {
  if (key.seen() == SmallKey::Seen::kMissing) return key_by_key_.AddMissing(key);
  if (key.seen() == SmallKey::Seen::kUnknown) {
    RETURN_IF_ERROR(key.Visit([this](const SourceRow& row) { return key_by_key_.Add(row); }));
    return key_by_key_.EndKey();
  }
  key_by_key_.AddSame(key);
  return {};
}

}  // namespace sprockets
