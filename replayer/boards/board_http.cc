#include "replayer/boards/board_http.h"

#include <cmath>
#include <string>
#include <utility>

#include "shared/base/log.h"
#include "shared/http/query.h"

namespace sprockets {
namespace {

using BoardJson = nlohmann::ordered_json;

// They wait for Redis or PostgreSQL; monitors do not, and always find a thread.
constexpr int kMostBoardsAtWork = 16;
static_assert(kMostBoardsAtWork + HttpServer::kMostStreams < HttpServer::kThreads);
constexpr double kMostExact = 9007199254740992;  // 2^53

std::string DumpBoard(const BoardJson& json) {
  return json.dump(-1, ' ', false, BoardJson::error_handler_t::replace) + "\n";
}

HttpResponse JsonWith(int status, const BoardJson& json) {
  return {.status = status, .content_type = "application/json", .body = DumpBoard(json)};
}

HttpResponse ErrorWith(int status, const std::string& why) {
  return JsonWith(status, {{"error", why}});
}

/// JSON has no infinity.
BoardJson JsonOfScore(double score) {
  if (!std::isfinite(score)) return score > 0 ? "inf" : "-inf";
  if (std::trunc(score) == score && std::fabs(score) <= kMostExact) return static_cast<int64_t>(score);
  return score;
}

BoardJson JsonOfRow(const BoardRow& row) {
  return {{"rank", row.rank}, {"user_id", row.member}, {"score", JsonOfScore(row.score)}};
}

BoardJson JsonOfPage(const BoardRequest& request, const BoardPage& page) {
  BoardJson json{
      {"timeframe", request.timeframe->name}, {"project_id", nullptr}, {"source", page.source}, {"total", page.total}};
  if (request.scope) json["project_id"] = *request.scope;
  if (request.user_id) json["user"] = page.user ? JsonOfRow(*page.user) : BoardJson(nullptr);
  BoardJson& rows = json["rows"] = BoardJson::array();
  for (const BoardRow& row : page.rows) rows.push_back(JsonOfRow(row));
  return json;
}

/// FNV-1a of 64 bits: two pages of one address that differ have the same one once in 2^64.
std::string TagOf(std::string_view body) {
  uint64_t hash = 14695981039346656037U;
  for (const char byte : body) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211U;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string tag = "\"";
  for (int shift = 60; shift >= 0; shift -= 4) tag.push_back(kDigits[(hash >> shift) & 15]);
  return tag + "\"";
}

}  // namespace

std::optional<HttpResponse> BoardHttp::Answer(const HttpRequest& request) {
  if (request.raw_path == "/v1/health-check") return AnswerHealth();
  if (!request.raw_path.starts_with(kBoardsPath)) return {};
  HttpResponse answer;
  if (++at_work_ > kMostBoardsAtWork) {
    answer = ErrorWith(503, "too many requests are at work");
    answer.headers = {{"Retry-After", "1"}};
  } else {
    answer = AnswerBoard(request);
  }
  --at_work_;
  return answer;
}

HttpResponse BoardHttp::AnswerBoard(const HttpRequest& request) {
  const Result<BoardRequest> asked = ReadBoardRequest(boards_, request.raw_path, request.query);
  if (!asked.ok()) return ErrorWith(asked.error().code == ErrorCode::kNotFound ? 404 : 400, asked.error().message);
  const Result<BoardPage> page = reader_.Read(asked.value());
  if (!page.ok()) {
    // The reason is the operator's, not the reader's.
    LogWarning("board-not-read", {{"board", asked.value().board->name}, {"why", page.error().message}});
    HttpResponse answer = ErrorWith(503, "the leaderboard cannot be read at the moment");
    answer.headers = {{"Retry-After", "1"}};
    return answer;
  }
  HttpResponse answer = JsonWith(200, JsonOfPage(asked.value(), page.value()));
  const std::string tag = TagOf(answer.body);
  answer.headers = {{"ETag", tag}};
  answer.cache_control = "no-cache";  // may be kept, and has to be asked for again
  if (NamesTag(request.if_none_match, tag)) {
    answer.status = 304;
    answer.body.clear();
  }
  return answer;
}

/// Boards can be served as long as one of the two is there.
HttpResponse BoardHttp::AnswerHealth() const {
  BoardJson json{{"status", "unavailable"}};
  bool is_up = false;
  for (const StoreFigures& store : stores_()) {
    json[store.name] = store.answers ? "up" : "down";
    is_up = is_up || store.answers;
  }
  if (is_up) json["status"] = "ok";
  return JsonWith(is_up ? 200 : 503, json);
}

}  // namespace sprockets
