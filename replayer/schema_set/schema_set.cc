#include "replayer/schema_set/schema_set.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "replayer/schema_set/set_files.h"
#include "shared/base/options.h"
#include "shared/base/text.h"
#include "shared/redis/stream_id.h"

namespace sprockets {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kKinds{"zset", "stream", "hash", "set", "string"};
constexpr size_t kMaxChannelBytes = 63;  // PostgreSQL cuts longer names off

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

/// Where each directive of a file stands.
using DirectiveLines = std::map<std::string, size_t, std::less<>>;

/// What a directive says. None: it is right; else what to write instead.
using Directive = std::optional<std::string> (*)(std::string_view value, Structure* structure);

std::optional<std::string> TakeKind(std::string_view value, Structure* structure) {
  const std::vector<std::string> words = WordsOf(value);
  const auto kind = words.empty() ? kKinds.end() : std::find(kKinds.begin(), kKinds.end(), words[0]);
  if (kind == kKinds.end()) return "-- redis: zset, stream, hash, set or string, and the key if it is constant";
  structure->kind = static_cast<RedisKind>(kind - kKinds.begin());
  const std::string_view key = Trim(value.substr(words[0].size()));
  if (!key.empty()) structure->key = key;
  return {};
}

std::optional<std::string> TakeKeys(std::string_view value, Structure* structure) {
  if (value.empty()) return "-- keys: GLOB";
  structure->keys_glob = value;
  return {};
}

std::optional<std::string> TakeScores(std::string_view value, Structure* structure) {
  if (value != "integers") return "-- scores: integers, or leave it out";
  structure->integer_scores = true;
  return {};
}

std::optional<std::string> TakeTolerance(std::string_view value, Structure* structure) {
  const std::optional<double> tolerance = ParseNumber(value);
  if (!tolerance || *tolerance <= 0) return "-- tolerance: NUMBER above 0, for example 1e-6";
  structure->tolerance = *tolerance;
  return {};
}

std::optional<std::string> TakeValues(std::string_view value, Structure* structure) {
  if (value != "at-least" && value != "at-most") return "-- values: at-least or at-most, or leave it out";
  structure->values = value == "at-least" ? Structure::Values::kAtLeast : Structure::Values::kAtMost;
  return {};
}

std::optional<std::string> TakeIgnoredMembers(std::string_view value, Structure* structure) {
  structure->ignored_members = WordsOf(value);
  if (structure->ignored_members.empty()) return "-- ignore-members: MEMBER…, with blanks between them";
  return {};
}

std::optional<std::string> TakeZeros(std::string_view value, Structure* structure) {
  if (value != "optional") return "-- zeros: optional, or leave it out";
  structure->zeros_optional = true;
  return {};
}

std::optional<std::string> TakeUnusedKeys(std::string_view value, Structure* structure) {
  if (value != "allowed") return "-- unused-keys: allowed, or leave it out";
  structure->unused_keys_allowed = true;
  return {};
}

std::optional<std::string> TakeTrimmed(std::string_view value, Structure* structure) {
  if (value != "allowed") return "-- trimmed: allowed, or leave it out";
  structure->trimmed_allowed = true;
  return {};
}

std::optional<std::string> TakeUpTo(std::string_view value, Structure* structure) {
  if (WordsOf(value).size() != 1) return "-- up-to: KEY, of the zset that says how far each key was filled";
  structure->up_to = value;
  return {};
}

std::optional<std::string> TakeIfTable(std::string_view value, Structure* structure) {
  if (WordsOf(value).size() != 1) return "-- if-table: TABLE";
  structure->if_table = value;
  return {};
}

std::optional<std::string> TakeFollow(std::string_view value, Structure* structure) {
  const std::vector<std::string> words = WordsOf(value);
  if (words.size() != 2) return "-- follow: TABLE ID_COLUMN";
  structure->follow = {words[0], words[1]};
  return {};
}

std::optional<std::string> TakeListen(std::string_view value, Structure* structure) {
  if (value.empty() || value.size() > kMaxChannelBytes) return "-- listen: CHANNEL, a name of up to 63 bytes";
  structure->listen = value;
  return {};
}

std::optional<std::string> TakePublish(std::string_view value, Structure* structure) {
  if (value.empty()) return "-- publish: CHANNEL";
  structure->publish = value;
  return {};
}

constexpr std::array<std::pair<std::string_view, Directive>, 14> kDirectives{{
    {"redis", TakeKind},
    {"keys", TakeKeys},
    {"scores", TakeScores},
    {"tolerance", TakeTolerance},
    {"values", TakeValues},
    {"ignore-members", TakeIgnoredMembers},
    {"zeros", TakeZeros},
    {"unused-keys", TakeUnusedKeys},
    {"trimmed", TakeTrimmed},
    {"up-to", TakeUpTo},
    {"if-table", TakeIfTable},
    {"follow", TakeFollow},
    {"listen", TakeListen},
    {"publish", TakePublish},
}};

/// A comment of the form "name: value" is a directive if we know the name; other comments are for people. Among
/// directives, up to the first empty line, a name that we do not know is a typing error.
Status TakeDirective(std::string_view comment, size_t line, bool among_directives, Structure* structure,
                     DirectiveLines* lines) {
  const size_t colon = comment.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string name(Trim(comment.substr(0, colon)));
  const auto known = std::find_if(kDirectives.begin(), kDirectives.end(),
                                  [&](const auto& directive) { return directive.first == name; });
  if (known == kDirectives.end()) {
    if (!among_directives || !IsWord(name)) return {};
    return Wrong(structure->file, line,
                 "there is no directive " + name + ": (a comment for people comes behind an empty line)");
  }
  if (!lines->try_emplace(name, line).second)
    return Wrong(structure->file, line,
                 "-- " + name + ": comes twice" + (name == "redis" ? "; a file makes one structure" : ""));
  const std::optional<std::string> wrong = known->second(Trim(comment.substr(colon + 1)), structure);
  return wrong ? Status(Wrong(structure->file, line, "write " + *wrong)) : Status();
}

/// Directives that do not go with the structure, or with each other.
Status CheckDirectives(const Structure& structure, const DirectiveLines& lines) {
  const RedisKind kind = structure.kind;
  const bool is_zset = kind == RedisKind::kZset;
  const bool is_stream = kind == RedisKind::kStream;
  const auto at_most = structure.values == Structure::Values::kAtMost;
  const std::string prefix = structure.keys_glob.value_or("").substr(0, structure.keys_glob.value_or("").find('*'));
  const bool ends_open = structure.keys_glob == prefix + "*" && prefix.find_first_of("?[\\") == std::string::npos;
  struct Rule {
    std::string_view name;
    bool holds;
    std::string_view why;
  };
  const std::array<Rule, 12> rules{{
      {"keys", !structure.key, "is for queries with a column key; this one has a constant key"},
      {"listen", structure.follow.has_value(), "is for queries that say -- follow:"},
      {"tolerance", is_zset, "is for a zset"},
      {"tolerance", !structure.integer_scores, "does not go with -- scores: integers"},
      {"values", is_zset || (kind == RedisKind::kHash && !at_most), "is for a zset, and at-least for a hash too"},
      {"ignore-members", is_zset || kind == RedisKind::kHash || kind == RedisKind::kSet, "is for a zset, hash or set"},
      {"zeros", is_zset, "is for a zset"},
      {"unused-keys", structure.keys_glob && (is_zset || kind == RedisKind::kHash || kind == RedisKind::kSet),
       "is for a zset, hash or set that says -- keys:"},
      {"unused-keys", !structure.follow, "does not go with -- follow:"},
      {"trimmed", is_stream, "is for a stream"},
      {"trimmed", !structure.up_to, "does not go with -- up-to:"},
      {"up-to", is_stream && ends_open && !prefix.empty(),
       "is for streams whose -- keys: are a name and a * behind it"},
  }};
  for (const Rule& rule : rules) {
    const auto line = lines.find(rule.name);
    if (line == lines.end() || rule.holds) continue;
    return Wrong(structure.file, line->second, "-- " + std::string(rule.name) + ": " + std::string(rule.why));
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

/// The variable NAME, or what is in the file that NAME_FILE names; none: neither is set.
Result<std::optional<std::string>> ReadSecret(const std::string& name) {
  if (const char* value = std::getenv(name.c_str()); value != nullptr && *value != '\0')
    return std::optional(std::string(value));
  const char* path = std::getenv((name + "_FILE").c_str());
  if (path == nullptr || *path == '\0') return std::optional<std::string>();
  ASSIGN_OR_RETURN(std::string value, ReadPasswordFile(path));
  if (value.empty()) return Error{ErrorCode::kRefused, "the file " + Escape(path) + " of " + name + "_FILE is empty"};
  return std::optional(std::move(value));
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
    const auto value = ReadSecret(name);
    if (!value.ok()) return Wrong(file, line, value.error().message);
    if (!value.value()) {
      return Wrong(file, line,
                   "the environment has no " + Escape(name) + ", which holds a secret of a user: set it, or " +
                       Escape(name) + "_FILE to a file that holds it");
    }
    expanded += word.substr(at, begin - at) + *value.value();
    at = end + 1;
  }
}

}  // namespace

bool Names(const Structure& structure, std::string_view key) {
  return structure.key == key || (structure.keys_glob && GlobMatch(*structure.keys_glob, key));
}

std::optional<double> ParseNumber(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || rest != end || !std::isfinite(number)) return {};
  return number;
}

std::string_view NameOf(RedisKind kind) {
  return kKinds[static_cast<size_t>(kind)];
}

Result<Structure> ParseStructure(const fs::path& file, std::string_view text) {
  Structure structure;
  structure.name = file.stem();
  structure.file = file;
  DirectiveLines lines;
  bool among_directives = true;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    ++line;
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view trimmed = Trim(text.substr(at, end - at));
    if (!trimmed.empty() && !trimmed.starts_with("--")) break;
    at = end + 1;
    if (trimmed.empty() || trimmed == "--") {
      among_directives = among_directives && !lines.contains("redis");
    } else {
      RETURN_IF_ERROR(TakeDirective(trimmed.substr(2), line, among_directives, &structure, &lines));
    }
  }
  if (!lines.contains("redis"))
    return Wrong(file, 1, "it does not say what it makes: begin it with -- redis: KIND [KEY]");
  RETURN_IF_ERROR(CheckDirectives(structure, lines));
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

Result<SetConf> ReadSetConf(const fs::path& folder) {
  const fs::path file = folder / "set.conf";
  SetConf conf;
  RETURN_IF_ERROR(ForEachLine(folder, file, [&](size_t line, const std::vector<std::string>& words) -> Status {
    if (words.size() == 2 && words[0] == "name" && conf.name.empty()) {
      conf.name = words[1];
    } else if (words.size() == 2 && words[0] == "retired") {
      conf.retired.push_back(words[1]);
    } else {
      return Wrong(file, line, "write name NAME once, where NAME has no blanks, or retired FILE");
    }
    return {};
  }));
  if (!conf.name.empty()) return conf;
  const fs::path given = (fs::absolute(folder) / "").lexically_normal().parent_path();
  conf.name = fs::weakly_canonical(folder).filename();
  if (given.filename() == conf.name) return conf;
  return Error{ErrorCode::kRefused, folder.native() + " leads to a folder named " + conf.name +
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
