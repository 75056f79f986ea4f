#include "replayer/schema_set/schema_set.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>

#include "shared/base/text.h"
#include "shared/redis/stream_id.h"

namespace sprockets {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kKinds{"zset", "stream", "hash", "set", "string"};
constexpr size_t kMaxChannelBytes = 63;  // PostgreSQL cuts longer names off
constexpr std::string_view kBlanks = " \t\r\n";

Error Wrong(const fs::path& file, size_t line, const std::string& why) {
  return {ErrorCode::kRefused, file.native() + ": line " + std::to_string(line) + ": " + why};
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string> WordsOf(std::string_view line) {
  std::istringstream stream{std::string(line)};
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

Result<std::string> ReadText(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) return Error{ErrorCode::kIo, "cannot read " + file.native()};
  return std::move(text).str();
}

Status RequireSet(const fs::path& set) {
  const std::string context = "--schema: ";
  std::error_code error;
  if (!fs::is_directory(set, error))
    return Error{ErrorCode::kNotFound,
                 context + "there is no folder " + set.native() + " (write, for example, schema/season_of_code)"};
  bool has_part = false;
  for (const char* part : {"migrations", "rebuild", "access"}) {
    has_part = has_part || fs::is_directory(set / part, error);
    if (error && error != std::errc::no_such_file_or_directory)
      return Error{ErrorCode::kIo, context + "cannot read " + set.native() + ": " + error.message()};
  }
  if (has_part) return {};
  return Error{ErrorCode::kNotFound,
               context + set.native() + " is no schema set: it has no folder migrations, rebuild or access"};
}

/// Files of `folder` that end in .sql, by name; none where there is no such folder.
Result<std::vector<fs::path>> SqlFiles(const fs::path& set, std::string_view part) {
  RETURN_IF_ERROR(RequireSet(set));
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(set / part, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".sql") files.push_back(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return Error{ErrorCode::kIo, "cannot read " + (set / part).native() + ": " + error.message()};
  std::sort(files.begin(), files.end());
  return files;
}

/// Calls `take` with the words of every line of a set's file that is neither empty nor a comment.
Status ForEachLine(const fs::path& set, const fs::path& file,
                   const std::function<Status(size_t number, const std::vector<std::string>& words)>& take) {
  RETURN_IF_ERROR(RequireSet(set));
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  ASSIGN_OR_RETURN(const std::string text, ReadText(file));
  std::istringstream lines(text);
  std::string line;
  for (size_t number = 1; std::getline(lines, line); ++number) {
    const std::string_view trimmed = Trim(line);
    if (trimmed.empty() || trimmed.front() == '#') continue;
    RETURN_IF_ERROR(take(number, WordsOf(trimmed)));
  }
  return {};
}

bool IsLowerCaseWord(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char letter) { return letter >= 'a' && letter <= 'z'; });
}

/// A comment of the form "name: value" is a directive if we know the name; other comments are for people. Among
/// directives, up to the first empty line, a name that we do not know is a typing error.
Status TakeDirective(std::string_view comment, size_t line, bool among_directives, Structure* structure,
                     bool* has_kind) {
  const size_t colon = comment.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view name = Trim(comment.substr(0, colon));
  const std::string_view value = Trim(comment.substr(colon + 1));
  const std::vector<std::string> words = WordsOf(value);
  if (name == "redis") {
    if (*has_kind) return Wrong(structure->file, line, "-- redis: comes twice; a file makes one structure");
    const auto kind = words.empty() ? kKinds.end() : std::find(kKinds.begin(), kKinds.end(), words[0]);
    if (kind == kKinds.end())
      return Wrong(structure->file, line,
                   "write -- redis: zset, stream, hash, set or string, and the key if it is constant");
    structure->kind = static_cast<RedisKind>(kind - kKinds.begin());
    const std::string_view key = Trim(value.substr(words[0].size()));
    if (!key.empty()) structure->key = key;
    *has_kind = true;
  } else if (name == "keys") {
    if (value.empty()) return Wrong(structure->file, line, "write -- keys: GLOB");
    structure->keys_glob = value;
  } else if (name == "scores") {
    if (value != "integers") return Wrong(structure->file, line, "write -- scores: integers, or leave it out");
    structure->integer_scores = true;
  } else if (name == "follow") {
    if (words.size() != 2) return Wrong(structure->file, line, "write -- follow: TABLE ID_COLUMN");
    structure->follow = {words[0], words[1]};
  } else if (name == "listen") {
    if (value.empty() || value.size() > kMaxChannelBytes)
      return Wrong(structure->file, line, "write -- listen: CHANNEL, a name of up to 63 bytes");
    structure->listen = value;
  } else if (name == "publish") {
    if (value.empty()) return Wrong(structure->file, line, "write -- publish: CHANNEL");
    structure->publish = value;
  } else if (among_directives && IsLowerCaseWord(name)) {
    return Wrong(structure->file, line,
                 "there is no directive " + std::string(name) + ": (a comment for people comes behind an empty line)");
  }
  return {};
}

/// Two files that make one key would undo each other's work. What concerns none of the files that `only_glob` names is
/// passed over.
Status RefuseSharedKeys(const std::vector<Structure>& structures, std::string_view only_glob) {
  for (const Structure& one : structures) {
    if (!one.key) continue;
    for (const Structure& other : structures) {
      if (&one == &other || !(GlobMatch(only_glob, one.name) || GlobMatch(only_glob, other.name))) continue;
      const bool same = one.key == other.key && &one < &other;
      const bool covered = other.keys_glob && GlobMatch(*other.keys_glob, *one.key);
      if (!same && !covered) continue;
      return Error{ErrorCode::kRefused, other.file.native() + ": " + (same ? "its key is" : "its -- keys: covers") +
                                            " that of " + one.file.filename().native() + ", " + Escape(*one.key)};
    }
  }
  return {};
}

/// ${NAME} becomes the variable's value.
Result<std::string> Expand(const std::string& word, const fs::path& file, size_t line) {
  std::string expanded;
  size_t at = 0;
  while (true) {
    const size_t begin = word.find("${", at);
    if (begin == std::string::npos) return expanded + word.substr(at);
    const size_t end = word.find('}', begin);
    if (end == std::string::npos) return Wrong(file, line, "${ without }");
    const std::string name = word.substr(begin + 2, end - begin - 2);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0')
      return Wrong(file, line, "the environment has no " + Escape(name) + ", which holds a secret of a user: set it");
    expanded += word.substr(at, begin - at) + value;
    at = end + 1;
  }
}

}  // namespace

std::string_view NameOf(RedisKind kind) {
  return kKinds[static_cast<size_t>(kind)];
}

Result<Structure> ParseStructure(const fs::path& file, std::string_view text) {
  Structure structure;
  structure.name = file.stem();
  structure.file = file;
  bool has_kind = false;
  bool among_directives = true;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    ++line;
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view trimmed = Trim(text.substr(at, end - at));
    if (!trimmed.empty() && !trimmed.starts_with("--")) break;
    at = end + 1;
    if (trimmed.empty() || trimmed == "--") {
      among_directives = among_directives && !has_kind;
    } else {
      RETURN_IF_ERROR(TakeDirective(trimmed.substr(2), line, among_directives, &structure, &has_kind));
    }
  }
  if (!has_kind) return Wrong(file, 1, "it does not say what it makes: begin it with -- redis: KIND [KEY]");
  if (structure.key && structure.keys_glob)
    return Wrong(file, 1, "-- keys: is for queries with a column key; this one has a constant key");
  if (structure.listen && !structure.follow) return Wrong(file, 1, "-- listen: is for queries that say -- follow:");
  std::string_view query = Trim(text);
  while (query.ends_with(';')) query = Trim(query.substr(0, query.size() - 1));
  structure.query = query;
  return structure;
}

Result<std::vector<Structure>> ReadStructures(const fs::path& folder, std::string_view only_glob) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> files, SqlFiles(folder, "rebuild"));
  std::vector<Structure> structures;
  const auto is_wanted = [&](const fs::path& file) { return GlobMatch(only_glob, file.stem().native()); };
  for (const fs::path& file : files) {
    Result<std::string> text = ReadText(file);
    Result<Structure> structure = text.ok() ? ParseStructure(file, text.value()) : Result<Structure>(text.error());
    if (!structure.ok() && is_wanted(file)) return structure.error();
    if (structure.ok()) structures.push_back(std::move(structure).value());
  }
  RETURN_IF_ERROR(RefuseSharedKeys(structures, only_glob));
  std::erase_if(structures, [&](const Structure& structure) { return !is_wanted(structure.file); });
  if (structures.empty() && only_glob != "*")
    return Error{ErrorCode::kUsage,
                 "no file of rebuild/ in " + folder.native() + " matches --only " + Escape(only_glob)};
  return structures;
}

Result<std::vector<Migration>> ReadMigrations(const fs::path& folder) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> files, SqlFiles(folder, "migrations"));
  std::vector<Migration> migrations;
  std::set<int> numbers;
  for (const fs::path& file : files) {
    const std::string name = file.filename();
    const size_t digits = name.find_first_not_of("0123456789");
    const auto number = ParseInteger(std::string_view(name).substr(0, digits), 1, 999'999);
    if (!number.ok()) return Wrong(file, 1, "its name must begin with its number: 001_tables.sql");
    if (!numbers.insert(static_cast<int>(number.value())).second)
      return Wrong(file, 1, "another migration has the same number");
    ASSIGN_OR_RETURN(std::string sql, ReadText(file));
    migrations.push_back({static_cast<int>(number.value()), name, std::move(sql)});
  }
  std::sort(migrations.begin(), migrations.end(),
            [](const Migration& one, const Migration& other) { return one.number < other.number; });
  return migrations;
}

Result<std::string> ReadSetName(const fs::path& folder) {
  const fs::path file = folder / "set.conf";
  std::string name;
  RETURN_IF_ERROR(ForEachLine(folder, file, [&](size_t line, const std::vector<std::string>& words) -> Status {
    if (words.size() != 2 || words[0] != "name" || !name.empty())
      return Wrong(file, line, "write one line, name NAME, where NAME has no blanks");
    name = words[1];
    return {};
  }));
  if (!name.empty()) return name;
  const fs::path given = (fs::absolute(folder) / "").lexically_normal().parent_path();
  const std::string real = fs::weakly_canonical(folder).filename();
  if (given.filename() == real) return real;
  return Error{ErrorCode::kRefused, folder.native() + " leads to a folder named " + real +
                                        ", so the set's name would change with it: write `name NAME` into " +
                                        file.native() +
                                        " (the name that its migrations were applied under, if there were any)"};
}

Result<std::vector<AclUser>> ReadUsers(const fs::path& folder) {
  const fs::path file = folder / "access" / "users.acl";
  std::vector<AclUser> users;
  RETURN_IF_ERROR(ForEachLine(folder, file, [&](size_t line, const std::vector<std::string>& words) -> Status {
    if (words.size() < 2 || words[0] != "user")
      return Wrong(file, line, "write user NAME RULES…, as in Redis's ACL files");
    const auto same_name = [&](const AclUser& other) { return other.name == words[1]; };
    if (std::any_of(users.begin(), users.end(), same_name))
      return Wrong(file, line, "user " + Escape(words[1]) + " comes twice");
    AclUser user{words[1], {}};
    for (size_t i = 2; i < words.size(); ++i) {
      ASSIGN_OR_RETURN(std::string rule, Expand(words[i], file, line));
      // A selector, "(~key +command)", is one rule.
      const bool in_selector =
          !user.rules.empty() && user.rules.back().starts_with('(') && !user.rules.back().ends_with(')');
      if (in_selector) {
        user.rules.back() += " " + rule;
      } else {
        user.rules.push_back(std::move(rule));
      }
    }
    if (!user.rules.empty() && user.rules.back().starts_with('(') && !user.rules.back().ends_with(')'))
      return Wrong(file, line, "( without )");
    users.push_back(std::move(user));
    return {};
  }));
  return users;
}

Result<std::vector<ConsumerGroup>> ReadGroups(const fs::path& folder) {
  const fs::path file = folder / "access" / "groups.conf";
  std::vector<ConsumerGroup> groups;
  RETURN_IF_ERROR(ForEachLine(folder, file, [&](size_t line, const std::vector<std::string>& words) -> Status {
    if (words.size() != 3 || (words[2] != "$" && words[2] != "0" && !ParseStreamId(words[2])))
      return Wrong(file, line, "write STREAM GROUP POSITION, where POSITION is $, 0 or an entry id");
    groups.push_back({words[0], words[1], words[2]});
    return {};
  }));
  return groups;
}

Result<std::vector<AclCheck>> ReadChecks(const fs::path& folder) {
  const fs::path file = folder / "access" / "checks.conf";
  std::vector<AclCheck> checks;
  RETURN_IF_ERROR(ForEachLine(folder, file, [&](size_t line, const std::vector<std::string>& words) -> Status {
    if (words.size() < 3 || (words[1] != "may" && words[1] != "must-not"))
      return Wrong(file, line, "write USER may COMMAND… or USER must-not COMMAND…");
    checks.push_back({words[0],
                      words[1] == "may",
                      {words.begin() + 2, words.end()},
                      file.native() + ": line " + std::to_string(line)});
    return {};
  }));
  return checks;
}

}  // namespace sprockets
