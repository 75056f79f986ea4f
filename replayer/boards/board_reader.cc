#include "replayer/boards/board_reader.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "replayer/redis/pipeline.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr int64_t kBoardDeadlineMs = 1'000;  // of Redis
constexpr int64_t kTryRedisAgainMs = 1'000;
constexpr int kMostTries = 3;  // while a user moves by half a page between two commands

// The members as Redis orders them: of equal scores the one that is larger byte by byte comes first.
constexpr const char* kPageBegin =
    "WITH asked AS (SELECT $1::text AS timeframe, $2::text AS scope), board AS MATERIALIZED (SELECT member::text "
    "COLLATE "
    "\"C\" AS member, score::float8 AS score FROM (";
constexpr const char* kPageEnd =
    "\n) AS given), ranked AS (SELECT row_number() OVER (ORDER BY score DESC, member DESC) AS rank, member, score FROM "
    "board), place AS (SELECT CASE WHEN $5::text IS NULL THEN $3::bigint ELSE (SELECT greatest(rank - 1 - $4::bigint / "
    "2, 0) FROM ranked WHERE member = $5::text) END AS above) SELECT whole.total, ranked.rank, ranked.member, "
    "ranked.score FROM (SELECT count(*) AS total FROM board) AS whole CROSS JOIN place LEFT JOIN ranked ON rank > "
    "above "
    "AND rank <= above + $4::bigint ORDER BY rank";

double ScoreOf(std::string_view text) {
  return std::strtod(std::string(text).c_str(), nullptr);
}

int64_t FirstOfPageAround(int64_t place, int64_t page_size) {
  return std::max<int64_t>(0, place - page_size / 2);
}

void FindUser(const BoardRequest& request, BoardPage* page) {
  const auto found = std::find_if(page->rows.begin(), page->rows.end(),
                                  [&](const auto& row) { return row.member == request.user_id; });
  if (found != page->rows.end()) page->user = *found;
}

/// ZCARD and a page of one key, in one round trip.
Result<BoardPage> ReadPage(RedisClient& redis, const std::string& key, int64_t first, int64_t rows) {
  const std::string last = std::to_string(first + rows - 1);
  const std::string commands =
      MakeCommand({"ZCARD", key}) + MakeCommand({"ZRANGE", key, std::to_string(first), last, "REV", "WITHSCORES"});
  redis.Queue(commands);
  ASSIGN_OR_RETURN(const RedisClient::Reply total, redis.Receive());
  ASSIGN_OR_RETURN(const RedisClient::Reply members, redis.Receive());
  RETURN_IF_ERROR(RefuseError(*total));
  RETURN_IF_ERROR(RefuseError(*members));
  BoardPage page;
  page.total = total->integer;
  for (size_t i = 0; i + 1 < members->elements; i += 2) {
    page.rows.push_back({first + static_cast<int64_t>(page.rows.size()) + 1, std::string(TextOf(*members->element[i])),
                         ScoreOf(TextOf(*members->element[i + 1]))});
  }
  return page;
}

Result<BoardPage> ReadKey(RedisClient& redis, const std::string& key, const BoardRequest& request) {
  if (!request.user_id) return ReadPage(redis, key, request.offset, request.page_size);
  BoardPage page;
  for (int tried = 0; tried < kMostTries && !page.user; ++tried) {
    ASSIGN_OR_RETURN(const RedisClient::Reply place, redis.Call({"ZREVRANK", key, *request.user_id}));
    RETURN_IF_ERROR(RefuseError(*place));
    const bool is_there = place->type == REDIS_REPLY_INTEGER;
    const int64_t first = is_there ? FirstOfPageAround(place->integer, request.page_size) : 0;
    ASSIGN_OR_RETURN(page, ReadPage(redis, key, first, request.page_size));
    if (is_there) {
      FindUser(request, &page);
    } else {
      page.rows.clear();
      break;
    }
  }
  return page;
}

/// The first of the keys that is there.
Result<BoardPage> ReadKeys(RedisClient& redis, const BoardRequest& request) {
  BoardPage page;
  for (const std::string& key : KeysOf(*request.board, *request.timeframe, request.scope, WallClockMs())) {
    ASSIGN_OR_RETURN(page, ReadKey(redis, key, request));
    if (page.total > 0) break;
  }
  return page;
}

}  // namespace

Result<BoardPage> BoardReader::Read(const BoardRequest& request) {
  if (SteadyClockMs() >= redis_again_ms_) {
    Result<BoardPage> page = FromRedis(request);
    NoteSource(page.ok() ? Status() : Status(page.error()));
    if (page.ok()) return page;
    if (page.error().code == ErrorCode::kUnreachable) redis_again_ms_ = SteadyClockMs() + kTryRedisAgainMs;
  }
  return FromPostgres(request);
}

/// A connection that waited for long may have been closed, so another one is tried once.
Result<BoardPage> BoardReader::FromRedis(const BoardRequest& request) {
  if (std::optional<RedisClient> idle = idle_redis_.Take()) {
    Result<BoardPage> page = ReadKeys(*idle, request);
    if (page.ok()) {
      idle_redis_.Give(*std::move(idle));
      return page;
    }
    if (!idle->closed_by_server()) return page;
  }
  ASSIGN_OR_RETURN(RedisClient redis, RedisClient::Connect(redis_.url, std::min(redis_.deadline_ms, kBoardDeadlineMs)));
  Result<BoardPage> page = ReadKeys(redis, request);
  if (page.ok()) idle_redis_.Give(std::move(redis));
  return page;
}

Result<BoardPage> BoardReader::FromPostgres(const BoardRequest& request) {
  std::optional<Postgres> postgres = idle_postgres_.Take();
  // The same; here it is asked beforehand.
  if (postgres && !postgres->Execute("SELECT 1").ok()) postgres.reset();
  if (!postgres) {
    ASSIGN_OR_RETURN(Postgres connected, Postgres::Connect(postgres_.url, 0));
    postgres.emplace(std::move(connected));
  }
  RETURN_IF_ERROR(postgres->Execute("BEGIN READ ONLY; SET LOCAL statement_timeout TO '3s'"));
  const std::string offset = std::to_string(request.offset);
  const std::string page_size = std::to_string(request.page_size);
  const std::vector<Postgres::Parameter> parameters{{.bytes = request.timeframe->name},
                                                    {.bytes = request.scope},
                                                    {.bytes = offset},
                                                    {.bytes = page_size},
                                                    {.bytes = request.user_id}};
  ASSIGN_OR_RETURN(const Postgres::Rows rows,
                   postgres->Query(kPageBegin + request.board->query + kPageEnd, parameters));
  RETURN_IF_ERROR(postgres->Commit());
  idle_postgres_.Give(*std::move(postgres));
  BoardPage page;
  page.source = "postgres";
  for (const auto& row : rows) {
    page.total = std::strtoll(row[0].value_or("0").c_str(), nullptr, 10);
    if (row[1])
      page.rows.push_back({std::strtoll(row[1]->c_str(), nullptr, 10), row[2].value_or(""), ScoreOf(*row[3])});
  }
  if (request.user_id) FindUser(request, &page);
  return page;
}

void BoardReader::NoteSource(const Status& redis) {
  if (told_.exchange(!redis.ok()) == !redis.ok()) return;
  if (redis.ok()) {
    LogInfo("boards-from-redis", {});
  } else {
    LogWarning("boards-from-postgres", {{"why", redis.error().message}});
  }
}

}  // namespace sprockets
