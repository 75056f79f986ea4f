// A deployment's folder: which tables there are, which query feeds which Redis structure, who may do what. Reading and
// checking its files; nothing here knows a server.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

enum class RedisKind { kZset, kStream, kHash, kSet, kString };
/// "zset", as TYPE says it.
std::string_view NameOf(RedisKind kind);

/// A file of rebuild/: one query that gives one structure, or one of each key that it names.
struct Structure {
  std::string name;  // of the file, without .sql
  std::filesystem::path file;
  RedisKind kind = RedisKind::kZset;
  std::optional<std::string> key;        // none: the query's column `key` has it
  std::optional<std::string> keys_glob;  // all of Redis's keys that belong to the query; none: only those that it gives
  bool integer_scores = false;
  bool infinite_scores = false;  // of a snapshot, not of a file: Redis may have had them

  // What SQL cannot say exactly: how far Redis may be from the query and still be right.
  double tolerance = 0;  // between two scores that are equal
  enum class Values { kExact, kAtLeast, kAtMost };
  Values values = Values::kExact;            // what Redis's values are to those of the query
  std::vector<std::string> ignored_members;  // nobody asks for them
  bool zeros_optional = false;               // a member with score 0 may as well be absent
  bool unused_keys_allowed = false;     // a key without members is right as long as another of the query's is there
  std::set<std::string> written_keys;   // of a run, not of the file: known to be in use, whatever Redis has
  bool trimmed_allowed = false;         // of a stream: the entries before its first one may have been trimmed away
  std::optional<std::string> up_to;     // a zset: entries above the score that it has for the key may be missing
  std::optional<std::string> if_table;  // of PostgreSQL: where it is missing, the file is passed over

  struct Follow {
    std::string table;
    std::string id;  // its column of ids
  };
  std::optional<Follow> follow;        // none: it cannot be followed
  std::optional<std::string> listen;   // PostgreSQL's channel that tells of new rows
  std::optional<std::string> publish;  // Redis's channel that is told
  std::string query;                   // without a semicolon at its end
};

/// Does the file itself name this key (its own, or by `-- keys:`)? It may give others, which only the database knows.
bool Names(const Structure& structure, std::string_view key);

/// A finite number, and nothing else.
std::optional<double> ParseNumber(std::string_view text);

/// From the text of a file, for errors named `file`. Directives are comment lines at its head.
Result<Structure> ParseStructure(const std::filesystem::path& file, std::string_view text);

/// A file of migrations/.
struct Migration {
  int number = 0;
  std::string name;  // of the file
  std::string sql;
};

struct AclUser {
  std::string name;
  std::vector<std::string> rules;  // as ACL SETUSER takes them; may hold secrets
};

struct ConsumerGroup {
  std::string stream;
  std::string group;
  std::string position;  // an entry id, 0 or $
};

/// What a user may do, or must not.
struct AclCheck {
  std::string user;
  bool may = false;
  std::vector<std::string> command;
  std::string where;  // file and line
};

// Each reads a part of the set in `folder`, in the order of the files' names (of their lines); a part that is not there
// is empty. kNotFound: there is no such set. kRefused names file and line.
Result<std::vector<Structure>> ReadStructures(const std::filesystem::path& folder, std::string_view only_glob);
Result<std::vector<Migration>> ReadMigrations(const std::filesystem::path& folder);

struct SetConf {
  std::string name;                  // under which the set's migrations are written down
  std::vector<std::string> retired;  // migrations that the set had once: a note of them is right
};

/// set.conf: `name NAME`, else the folder's own name, and any number of `retired FILE`. kRefused where there is no name
/// and a symbolic link leads to a folder of another name: that would change with each release.
Result<SetConf> ReadSetConf(const std::filesystem::path& folder);
/// ${NAME} in a rule is taken from the environment, or from the file that its NAME_FILE names; else it is an error.
Result<std::vector<AclUser>> ReadUsers(const std::filesystem::path& folder);
Result<std::vector<ConsumerGroup>> ReadGroups(const std::filesystem::path& folder);
Result<std::vector<AclCheck>> ReadChecks(const std::filesystem::path& folder);

}  // namespace sprockets
