#include "replayer/schema_set/boards.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <utility>

#include "replayer/schema_set/set_files.h"

namespace sprockets {
namespace {

constexpr std::string_view kTimeframeMark = "{timeframe}";
constexpr std::string_view kScopeMark = "{scope}";
constexpr size_t kMostTimeframeBytes = 256;

std::string Formatted(const std::string& format, int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[kMostTimeframeBytes];
  return {text, std::strftime(text, sizeof text, format.c_str(), &utc)};
}

/// Only in the template: what is put in is not looked at again.
std::string Filled(std::string_view key, std::string_view timeframe, std::string_view scope) {
  std::string filled;
  for (size_t at = 0; at < key.size();) {
    const std::string_view rest = key.substr(at);
    if (rest.starts_with(kTimeframeMark)) {
      filled.append(timeframe);
      at += kTimeframeMark.size();
    } else if (rest.starts_with(kScopeMark)) {
      filled.append(scope);
      at += kScopeMark.size();
    } else {
      filled.push_back(key[at++]);
    }
  }
  return filled;
}

/// None: it is right; else what to write instead.
std::optional<std::string> TakeBoardDirective(std::string_view name, std::string_view value, Leaderboard* board) {
  const bool has_timeframe = value.find(kTimeframeMark) != std::string_view::npos;
  const bool has_scope = value.find(kScopeMark) != std::string_view::npos;
  if (name == "key") {
    if (!has_timeframe || has_scope) return "-- key: KEY, with {timeframe} in it";
    board->keys.emplace_back(value);
  } else if (name == "scoped-key") {
    if (!has_timeframe || !has_scope) return "-- scoped-key: KEY, with {scope} and {timeframe} in it";
    board->scoped_keys.emplace_back(value);
  } else if (name == "timeframe") {
    const std::vector<std::string> words = WordsOf(value);
    if (words.empty() || words.size() > 2 || !IsWord(words[0]) || value.size() > kMostTimeframeBytes / 4)
      return "-- timeframe: NAME [TEXT], for example weekly weekly:%G-W%V";
    board->timeframes.push_back({words[0], words.back()});
  } else if (name == "ids") {
    if (value != "numbers") return "-- ids: numbers, or leave it out";
    board->ids_are_numbers = true;
  } else {
    return "-- key:, -- scoped-key:, -- timeframe: or -- ids: (a comment for people comes behind an empty line)";
  }
  return {};
}

}  // namespace

Result<Leaderboard> ParseLeaderboard(const std::filesystem::path& file, std::string_view text) {
  Leaderboard board;
  board.name = file.stem();
  board.file = file;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    ++line;
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view trimmed = Trim(text.substr(at, end - at));
    if (!trimmed.starts_with("--") || trimmed == "--") break;
    at = end + 1;
    const std::string_view comment = Trim(trimmed.substr(2));
    const size_t colon = std::min(comment.find(':'), comment.size());
    const std::string_view value = Trim(comment.substr(std::min(colon + 1, comment.size())));
    if (const auto wrong = TakeBoardDirective(comment.substr(0, colon), value, &board))
      return Wrong(file, line, "write " + *wrong);
  }
  if (board.keys.empty() || board.timeframes.empty())
    return Wrong(file, 1,
                 "it has to say under which keys the board is, and for which timeframes: begin it with -- key: "
                 "and -- timeframe:");
  if (text.find('\0') != std::string_view::npos) return Wrong(file, 1, "it holds a NUL byte");
  std::string_view query = Trim(text);
  while (query.ends_with(';')) query = Trim(query.substr(0, query.size() - 1));
  board.query = query;
  return board;
}

Result<std::vector<Leaderboard>> ReadLeaderboards(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files, SqlFiles(folder, "boards"));
  std::vector<Leaderboard> boards;
  for (const std::filesystem::path& file : files) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(file));
    ASSIGN_OR_RETURN(Leaderboard board, ParseLeaderboard(file, text));
    boards.push_back(std::move(board));
  }
  return boards;
}

std::vector<std::string> KeysOf(const Leaderboard& board, const Timeframe& timeframe,
                                const std::optional<std::string>& scope, int64_t wall_ms) {
  const std::string text = Formatted(timeframe.text, wall_ms);
  std::vector<std::string> keys;
  for (const std::string& key : scope ? board.scoped_keys : board.keys)
    keys.push_back(Filled(key, text, scope.value_or("")));
  return keys;
}

}  // namespace sprockets
