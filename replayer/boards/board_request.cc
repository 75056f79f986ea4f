#include "replayer/boards/board_request.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "shared/base/text.h"
#include "shared/http/query.h"

namespace sprockets {
namespace {

constexpr int64_t kMostRows = 1'000;
constexpr int64_t kMostOffset = 1'000'000;
constexpr size_t kMostIdBytes = 256;

/// A number of 64 bits above 0, without leading zeros: each has one spelling.
bool IsNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0 && text.front() != '0';
}

/// Of a user or a project. It goes to PostgreSQL as a text.
Status CheckId(const char* name, const std::string& id, bool is_number) {
  if (is_number && !IsNumber(id))
    return UsageError(std::string(name) + " has to be a number from 1 to 18446744073709551615");
  if (id.empty()) return UsageError(std::string(name) + " is missing");
  if (id.size() > kMostIdBytes) return UsageError(std::string(name) + " is over 256 bytes");
  if (!IsUtf8(id) || id.find('\0') != std::string::npos) return UsageError(std::string(name) + " is no text in UTF-8");
  return {};
}

std::string NamesOf(std::span<const Timeframe> timeframes) {
  std::string names;
  for (const Timeframe& each : timeframes) names.append(names.empty() ? "" : ", ").append(each.name);
  return names;
}

Status TakeParameter(const std::string& name, const std::string& value, BoardRequest* request) {
  if (name == "timeframe") {
    const auto& known = request->board->timeframes;
    const auto found = std::find_if(known.begin(), known.end(), [&](const auto& each) { return each.name == value; });
    if (found == known.end()) return UsageError("timeframe has to be one of " + NamesOf(known));
    request->timeframe = &*found;
  } else if (name == "page_size") {
    const auto rows = ParseInteger(value, 1, kMostRows);
    if (!rows.ok()) return UsageError("page_size has to be a number from 1 to 1000");
    request->page_size = rows.value();
  } else if (name == "offset") {
    const auto offset = ParseInteger(value, 0, kMostOffset);
    if (!offset.ok()) return UsageError("offset has to be a number from 0 to 1000000");
    request->offset = offset.value();
  } else if (name == "user_id") {
    RETURN_IF_ERROR(CheckId("user_id", value, request->board->ids_are_numbers));
    request->user_id = value;
  } else {
    return UsageError("there is no parameter " + Escape(name, 64) +
                      ": there are timeframe, page_size, offset and "
                      "user_id");
  }
  return {};
}

}  // namespace

Result<BoardRequest> ReadBoardRequest(std::span<const Leaderboard> boards, std::string_view raw_path,
                                      std::string_view query) {
  // Divided first and decoded afterwards: a project may have a slash in its name.
  const std::string_view rest = raw_path.substr(kBoardsPath.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::optional<std::string> name = PercentDecode(rest.substr(0, slash));
  const auto board = std::find_if(boards.begin(), boards.end(), [&](const auto& each) { return each.name == name; });
  if (board == boards.end()) return Error{ErrorCode::kNotFound, "there is no such leaderboard"};
  BoardRequest request{.board = &*board, .timeframe = &board->timeframes.front(), .scope = {}, .user_id = {}};
  if (slash < rest.size()) {
    const std::string_view raw_scope = rest.substr(slash + 1);
    if (board->scoped_keys.empty() || raw_scope.find('/') != std::string_view::npos)
      return Error{ErrorCode::kNotFound, "there is no such leaderboard"};
    request.scope = PercentDecode(raw_scope);
    if (!request.scope) return UsageError("the project is not percent-encoded");
    RETURN_IF_ERROR(CheckId("the project", *request.scope, board->ids_are_numbers));
  }
  const auto parameters = ParseQuery(query);
  if (!parameters) return UsageError("the parameters are not percent-encoded, or one comes twice");
  if (parameters->contains("user_id") && parameters->contains("offset"))
    return UsageError("user_id and offset do not go together: the page is around the user");
  for (const auto& [parameter, value] : *parameters) RETURN_IF_ERROR(TakeParameter(parameter, value, &request));
  return request;
}

}  // namespace sprockets
