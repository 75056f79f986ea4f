#include "replayer/archive/publisher.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "replayer/postgres/binary.h"
#include "replayer/redis/pipeline.h"
#include "replayer/redis/server.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr size_t kPage = 5'000;        // scores that are read, written and deleted together
constexpr size_t kScoresAtOnce = 250;  // of one ZADD
constexpr int64_t kPublishFinishMs = 5'000;

/// A column of the page as a binary text[].
template <typename Page, typename Member>
std::string ColumnOf(const Page& page, Member member) {
  std::vector<std::string_view> texts;
  for (const auto& score : page) texts.push_back(score.*member);
  return PgTextArray(texts);
}

}  // namespace

Result<Publisher::Published> Publisher::PublishAll(const std::function<bool()>& stop) {
  if (!outbox_) {
    ASSIGN_OR_RETURN(Postgres connected, Postgres::Connect(postgres_.url, 0));
    outbox_.emplace(std::move(connected));
    outbox_->FinishFirst(kPublishFinishMs);
  }
  const auto publish = [&]() -> Result<Published> {
    ASSIGN_OR_RETURN(const Postgres::Rows any, outbox_->Query("SELECT FROM sprockets.outbox LIMIT 1"));
    if (any.empty()) return Published{};
    ASSIGN_OR_RETURN(const auto lock, RedisLock::Take(redis_.url, redis_.deadline_ms));
    // Each time anew: whoever is the master now.
    ASSIGN_OR_RETURN(Server server, Server::Connect(redis_.url, redis_.deadline_ms));
    boards_.emplace(std::move(server.client()));
    refused_.clear();
    why_refused_.clear();
    return PublishPages(*lock, stop);
  };
  Result<Published> published = publish();
  if (published.ok()) return published;
  if (published.error().code == ErrorCode::kUnreachable) {
    outbox_.reset();
  } else {
    outbox_->Rollback();
  }
  return published;
}

Result<Publisher::Published> Publisher::PublishPages(const RedisLock& lock, const std::function<bool()>& stop) {
  Published published;
  while (!stop()) {
    RETURN_IF_ERROR(outbox_->Execute("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL extra_float_digits TO 1"));
    ASSIGN_OR_RETURN(std::vector<Score> page, ReadPage());
    if (!page.empty()) {
      RETURN_IF_ERROR(lock.Check());
      RETURN_IF_ERROR(WritePage(page));
      std::erase_if(page, [&](const Score& score) { return refused_.contains(score.key); });
      RETURN_IF_ERROR(DeletePage(page));
      // A rebuild that has begun since may have read the tables before these scores, and swapped its key after them.
      RETURN_IF_ERROR(lock.Check());
    }
    RETURN_IF_ERROR(outbox_->Commit());
    if (page.empty() && refused_.empty()) break;
    published.scores += page.size();
    if (page.empty()) break;
  }
  if (!refused_.empty()) published.left = why_refused_;
  return published;
}

Result<std::vector<Publisher::Score>> Publisher::ReadPage() {
  const std::vector<std::string_view> refused(refused_.begin(), refused_.end());
  const std::string passed_over = PgTextArray(refused);
  const std::vector<Postgres::Parameter> parameters{{.bytes = passed_over, .is_binary = true}};
  ASSIGN_OR_RETURN(
      const Postgres::Rows rows,
      outbox_->Query("SELECT key, member, score, floor(extract(epoch FROM expire_at) * 1000)::bigint, "
                     "coalesce(expire_at <= now(), false), version FROM sprockets.outbox WHERE key <> ALL ($1::text[]) "
                     "ORDER BY key, member LIMIT " +
                         std::to_string(kPage),
                     parameters));
  std::vector<Score> page;
  page.reserve(rows.size());
  for (const auto& row : rows) {
    page.push_back({row[0].value_or(""), row[1].value_or(""), row[2].value_or(""), row[3].value_or(""), row[4] == "t",
                    row[5].value_or("")});
  }
  return page;
}

/// A key whose time has passed is not made again.
Status Publisher::WritePage(const std::vector<Score>& page) {
  Pipeline pipeline(*boards_);
  const auto refuse = [&](const std::string& key) {
    return [this, key](const redisReply& reply) -> Status {
      const Status refused = RefuseError(reply);
      if (refused.ok()) return {};
      if (!IsRefusal(refused.error().code)) return refused;
      refused_.insert(key);
      why_refused_ = "key " + Escape(key) + ": " + refused.error().message;
      return {};
    };
  };
  for (size_t at = 0; at < page.size();) {
    const Score& first = page[at];
    std::vector<std::string_view> words{"ZADD", first.key};
    std::string_view expire_at_ms;
    for (; at < page.size() && page[at].key == first.key && words.size() < 2 + 2 * kScoresAtOnce; ++at) {
      if (page[at].has_expired) continue;
      words.insert(words.end(), {page[at].score, page[at].member});
      if (!page[at].expire_at_ms.empty()) expire_at_ms = page[at].expire_at_ms;
    }
    if (words.size() == 2) continue;
    RETURN_IF_ERROR(pipeline.Add(words, refuse(first.key)));
    if (expire_at_ms.empty()) continue;
    const std::vector<std::string_view> expire{"PEXPIREAT", first.key, expire_at_ms, "NX"};
    RETURN_IF_ERROR(pipeline.Add(expire, refuse(first.key)));
  }
  return pipeline.Finish();
}

Status Publisher::DeletePage(const std::vector<Score>& page) {
  const std::string keys = ColumnOf(page, &Score::key);
  const std::string members = ColumnOf(page, &Score::member);
  const std::string versions = ColumnOf(page, &Score::version);
  const std::vector<Postgres::Parameter> parameters{{.bytes = keys, .is_binary = true},
                                                    {.bytes = members, .is_binary = true},
                                                    {.bytes = versions, .is_binary = true}};
  const auto deleted = outbox_->Query(
      "DELETE FROM sprockets.outbox AS waiting USING unnest($1::text[], $2::text[], $3::text[]) AS written (key, "
      "member, "
      "version) WHERE waiting.key = written.key AND waiting.member = written.member AND waiting.version = "
      "written.version::bigint",
      parameters);
  return deleted.ok() ? Status() : Status(deleted.error());
}

}  // namespace sprockets
