#include "replayer/structure/loader.h"

#include <array>
#include <charconv>

#include "shared/base/clock.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr size_t kBatchWords = 512;  // 256 members with their scores: the best of what was tried
constexpr size_t kBatchBytes = 64 * 1024;

}  // namespace

std::string FormatScore(double score) {
  std::array<char, 32> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), score).ptr;  // the shortest that is the same double
  return {text.data(), end};
}

double ParseScore(std::string_view text) {
  double score = 0;
  std::from_chars(text.data(), text.data() + text.size(), score);  // several times as fast as strtod
  return score;
}

Status Loader::Add(const SourceRow& row) {
  if (!in_key_ || row.key != keys_.back().key) {
    RETURN_IF_ERROR(EndKey());
    RETURN_IF_ERROR(BeginKey(row));
  }
  if (expired_) return {};
  ++rows_;
  Key& key = keys_.back();
  ++key.rows;
  switch (kind_) {
    case RedisKind::kZset:
      AppendBulk(batch_, FormatScore(row.score));
      AppendBulk(batch_, row.member);
      batch_words_ += 2;
      break;
    case RedisKind::kHash:
      AppendBulk(batch_, row.member);
      AppendBulk(batch_, row.value);
      batch_words_ += 2;
      break;
    case RedisKind::kSet:
      AppendBulk(batch_, row.member);
      ++batch_words_;
      break;
    case RedisKind::kString: {
      const std::array<std::string_view, 3> words{"SET", key.name, row.value};
      key.stored = 1;
      return pipeline_.Add(words);
    }
    case RedisKind::kStream: {
      std::vector<std::string_view> words{"XADD", key.name};
      const std::string id = ToString(row.id);
      words.push_back(id);
      words.insert(words.end(), row.fields.begin(), row.fields.end());
      ++key.stored;
      return pipeline_.Add(words);
    }
  }
  return batch_words_ >= kBatchWords || batch_.size() >= kBatchBytes ? SendBatch() : Status();
}

Status Loader::BeginKey(const SourceRow& row) {
  if (now_ms_ == 0) now_ms_ = WallClockMs();
  in_key_ = true;
  expire_at_ms_ = row.expire_at_ms;
  expired_ = expire_at_ms_ && *expire_at_ms_ <= now_ms_;
  keys_.push_back({std::string(row.key), prefix_ + std::string(row.key), 0, 0});
  if (expired_) return {};
  const std::array<std::string_view, 3> note{"SADD", registry_, keys_.back().name};
  return pipeline_.Add(note);
}

Status Loader::EndKey() {
  if (!in_key_) return {};
  in_key_ = false;
  if (expired_) {
    keys_.pop_back();
    return {};
  }
  RETURN_IF_ERROR(SendBatch());
  if (!expire_at_ms_) return {};
  const std::string at = std::to_string(*expire_at_ms_);
  const std::array<std::string_view, 3> words{"PEXPIREAT", keys_.back().name, at};
  return pipeline_.Add(words);
}

Status Loader::SendBatch() {
  if (batch_words_ == 0) return {};
  constexpr std::array<std::string_view, 5> kCommands{"ZADD", "", "HSET", "SADD", ""};
  std::string command;
  AppendBulk(command, kCommands[static_cast<size_t>(kind_)]);
  AppendBulk(command, keys_.back().name);
  command.append(batch_);
  const size_t at = keys_.size() - 1;
  const auto count = [this, at](const redisReply& reply) -> Status {
    RETURN_IF_ERROR(RefuseError(reply));
    keys_[at].stored += static_cast<uint64_t>(reply.integer);
    return {};
  };
  RETURN_IF_ERROR(pipeline_.AddEncoded(2 + batch_words_, command, count));
  batch_.clear();
  batch_words_ = 0;
  return {};
}

Status Loader::Finish() {
  RETURN_IF_ERROR(EndKey());
  return pipeline_.Finish();
}

}  // namespace sprockets
