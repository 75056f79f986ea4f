#include "replayer/schema_set/archive_handlers.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "replayer/schema_set/set_files.h"

namespace sprockets {
namespace {

/// What a directive says. None: it is right; else what to write instead.
using ArchiveDirective = std::optional<std::string> (*)(std::string_view value, ArchiveHandler* handler);

std::optional<std::string> TakeStreams(std::string_view value, ArchiveHandler* handler) {
  if (value.empty()) return "-- archive: STREAM_GLOB, for example bounty-stream, or * for all";
  handler->streams = value;
  return {};
}

std::optional<std::string> TakeReturns(std::string_view value, ArchiveHandler* handler) {
  if (value != "scores") return "-- returns: scores, or leave it out";
  handler->returns_scores = true;
  return {};
}

std::optional<std::string> TakeTable(std::string_view value, ArchiveHandler* handler) {
  if (WordsOf(value).size() != 1) return "-- if-table: TABLE";
  handler->if_table = value;
  return {};
}

std::optional<std::string> TakeJsonFields(std::string_view value, ArchiveHandler* handler) {
  handler->json_fields = WordsOf(value);
  if (handler->json_fields.empty()) return "-- json: FIELD…, with blanks between them";
  return {};
}

constexpr std::array<std::pair<std::string_view, ArchiveDirective>, 4> kArchiveDirectives{{
    {"archive", TakeStreams},
    {"returns", TakeReturns},
    {"if-table", TakeTable},
    {"json", TakeJsonFields},
}};

/// As in rebuild/: a comment "name: value" is a directive if we know the name; others are for people. Among directives
/// a name that we do not know is a typing error.
Status TakeArchiveDirective(std::string_view comment, size_t line, bool among_directives, ArchiveHandler* handler,
                            std::set<std::string>* seen) {
  const size_t colon = comment.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string name(Trim(comment.substr(0, colon)));
  const auto known = std::find_if(kArchiveDirectives.begin(), kArchiveDirectives.end(),
                                  [&](const auto& directive) { return directive.first == name; });
  if (known == kArchiveDirectives.end()) {
    if (!among_directives || !IsWord(name)) return {};
    return Wrong(handler->file, line,
                 "there is no directive " + name + ": (a comment for people comes behind an empty line)");
  }
  if (!seen->insert(name).second) return Wrong(handler->file, line, "-- " + name + ": comes twice");
  const std::optional<std::string> wrong = known->second(Trim(comment.substr(colon + 1)), handler);
  return wrong ? Status(Wrong(handler->file, line, "write " + *wrong)) : Status();
}

}  // namespace

Result<ArchiveHandler> ParseArchiveHandler(const std::filesystem::path& file, std::string_view text) {
  ArchiveHandler handler;
  handler.name = file.filename();
  handler.file = file;
  std::set<std::string> seen;
  bool among_directives = true;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    ++line;
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view trimmed = Trim(text.substr(at, end - at));
    if (!trimmed.empty() && !trimmed.starts_with("--")) break;
    at = end + 1;
    if (trimmed.empty() || trimmed == "--") {
      among_directives = among_directives && !seen.contains("archive");
    } else {
      RETURN_IF_ERROR(TakeArchiveDirective(trimmed.substr(2), line, among_directives, &handler, &seen));
    }
  }
  if (!seen.contains("archive"))
    return Wrong(file, 1, "it does not say for which streams it is: begin it with -- archive: STREAM_GLOB");
  if (text.find('\0') != std::string_view::npos) return Wrong(file, 1, "it holds a NUL byte");
  std::string_view sql = Trim(text);
  while (sql.ends_with(';')) sql = Trim(sql.substr(0, sql.size() - 1));
  handler.sql = sql;
  return handler;
}

Result<std::vector<ArchiveHandler>> ReadArchiveHandlers(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files, SqlFiles(folder, "archive"));
  std::vector<ArchiveHandler> handlers;
  for (const std::filesystem::path& file : files) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(file));
    ASSIGN_OR_RETURN(ArchiveHandler handler, ParseArchiveHandler(file, text));
    handlers.push_back(std::move(handler));
  }
  return handlers;
}

}  // namespace sprockets
