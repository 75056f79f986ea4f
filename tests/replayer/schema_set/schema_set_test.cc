// Files of a schema set: what they mean, and that a bad line is named.
#include "replayer/schema_set/schema_set.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

void Write(const TempFolder& set, const std::string& file, const std::string& text) {
  const std::filesystem::path path = set.path() / file;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

template <typename T>
std::string ErrorOf(const Result<T>& result) {
  return result.ok() ? "no error" : result.error().message;
}

std::string ErrorOfStructure(const std::string& text) {
  return ErrorOf(ParseStructure("rebuild/x.sql", text));
}

TEST_CASE("directives at the head of a query say what it makes") {
  const auto board =
      ParseStructure("rebuild/board.sql",
                     "\n-- redis: zset the key\n-- Readers see: nothing of this.\n\n--scores:integers\r\n"
                     "-- follow: log id\n-- listen: New rows\n-- publish: news\nSELECT 1 -- redis: hash\n;\n ;  \n");
  REQUIRE(board.ok());
  CHECK(board.value().name == "board");
  CHECK(board.value().kind == RedisKind::kZset);
  CHECK(board.value().key == "the key");
  CHECK(board.value().integer_scores);
  CHECK(board.value().follow->table == "log");
  CHECK(board.value().follow->id == "id");
  CHECK(board.value().listen == "New rows");
  CHECK(board.value().publish == "news");
  CHECK(board.value().query.ends_with("SELECT 1 -- redis: hash"));
  CHECK(board.value().query.starts_with("-- redis"));

  const auto many = ParseStructure("x.sql", "-- redis: stream\n-- keys: log/*\nSELECT 1");
  REQUIRE(many.ok());
  CHECK(many.value().kind == RedisKind::kStream);
  CHECK_FALSE(many.value().key);
  CHECK(many.value().keys_glob == "log/*");
  CHECK_FALSE(many.value().integer_scores);
  CHECK_FALSE(many.value().listen);
  for (const char* kind : {"zset", "stream", "hash", "set", "string"}) {
    const auto one = ParseStructure("x.sql", std::string("-- redis: ") + kind + "\nSELECT 1");
    REQUIRE(one.ok());
    CHECK(NameOf(one.value().kind) == kind);
  }
}

TEST_CASE("a bad directive is refused with file and line") {
  CHECK(ErrorOfStructure("SELECT 1").find("rebuild/x.sql: line 1: it does not say what it makes") == 0);
  CHECK(ErrorOfStructure("").find("line 1") != std::string::npos);
  CHECK(ErrorOfStructure("SELECT 1\n-- redis: zset a").find("it does not say") != std::string::npos);
  CHECK(ErrorOfStructure("--\n-- redis: list a\n").find("line 2") != std::string::npos);
  CHECK(ErrorOfStructure("-- redis:\n").find("line 1") != std::string::npos);
  CHECK(ErrorOfStructure("-- redis: zset a\n-- redis: set b\n").find("line 2: -- redis: comes twice") !=
        std::string::npos);
  CHECK(ErrorOfStructure("-- redis: zset\n-- kyes: a*\n").find("line 2: there is no directive kyes:") !=
        std::string::npos);
  CHECK(ParseStructure("x.sql", "-- redis: zset\n--\n-- author: ada\nSELECT 1").ok());
  CHECK(ErrorOfStructure("-- redis: zset a\n-- scores: float\n").find("line 2: write -- scores: integers") !=
        std::string::npos);
  CHECK(ErrorOfStructure("-- redis: zset a\n\n-- follow: log\n").find("line 3: write -- follow: TABLE ID_COLUMN") !=
        std::string::npos);
  for (const std::string& channel : {std::string(), std::string(64, 'c')}) {
    CHECK(ErrorOfStructure("-- redis: zset a\n-- follow: log id\n-- listen: " + channel + "\n")
              .find("line 3: write -- listen: CHANNEL") != std::string::npos);
  }
  CHECK(ErrorOfStructure("-- redis: zset a\n-- listen: news\n").find("-- follow:") != std::string::npos);
  CHECK(ErrorOfStructure("-- redis: zset a\n-- keys: a*\n").find("constant key") != std::string::npos);
  const auto refused = ParseStructure("x.sql", "SELECT 1");
  CHECK(refused.error().code == ErrorCode::kRefused);
}

TEST_CASE("structures come in the order of their names, and only those that are wanted") {
  const TempFolder set;
  Write(set, "rebuild/b.sql", "-- redis: hash b\nSELECT 1");
  Write(set, "rebuild/a.sql", "-- redis: zset a\nSELECT 1");
  Write(set, "rebuild/notes.txt", "not SQL");
  const auto all = ReadStructures(set.path(), "*");
  REQUIRE(all.ok());
  REQUIRE(all.value().size() == 2);
  CHECK(all.value()[0].name == "a");
  CHECK(all.value()[1].name == "b");
  CHECK(ReadStructures(set.path(), "b*").value().size() == 1);
  CHECK(ReadStructures(set.path(), "z*").error().code == ErrorCode::kUsage);
  // A file that is not wanted is not read either.
  Write(set, "rebuild/bad.sql", "SELECT 1");
  CHECK(ReadStructures(set.path(), "a").ok());
  CHECK_FALSE(ReadStructures(set.path(), "*").ok());
}

TEST_CASE("a set that is not there is not found, a part that is not there is empty") {
  const TempFolder set;
  CHECK(ReadStructures(set.path() / "none", "*").error().code == ErrorCode::kNotFound);
  CHECK(ReadMigrations(set.path() / "none").error().code == ErrorCode::kNotFound);
  CHECK(ReadUsers(set.path() / "none").error().code == ErrorCode::kNotFound);
  CHECK(ErrorOf(ReadStructures(set.path(), "*")).find("no schema set") != std::string::npos);
  std::filesystem::create_directory(set.path() / "rebuild");
  CHECK(ReadStructures(set.path(), "*").value().empty());
  CHECK(ReadMigrations(set.path()).value().empty());
  CHECK(ReadUsers(set.path()).value().empty());
  CHECK(ReadGroups(set.path()).value().empty());
  CHECK(ReadChecks(set.path()).value().empty());
}

TEST_CASE("migrations go by number, and each number is there once") {
  const TempFolder set;
  Write(set, "migrations/10_later.sql", "SELECT 10");
  Write(set, "migrations/9_first.sql", "SELECT 9");
  Write(set, "migrations/README.md", "");
  const auto migrations = ReadMigrations(set.path());
  REQUIRE(migrations.ok());
  REQUIRE(migrations.value().size() == 2);
  CHECK(migrations.value()[0].number == 9);
  CHECK(migrations.value()[1].name == "10_later.sql");
  CHECK(migrations.value()[1].sql == "SELECT 10");

  Write(set, "migrations/009_again.sql", "");
  CHECK(ErrorOf(ReadMigrations(set.path())).find("the same number") != std::string::npos);
  std::filesystem::remove(set.path() / "migrations/009_again.sql");
  for (const char* name : {"tables.sql", "0_zero.sql", "99999999999999999999_much.sql", "-1_less.sql"}) {
    Write(set, std::string("migrations/") + name, "");
    INFO(name);
    CHECK(ErrorOf(ReadMigrations(set.path())).find(name) != std::string::npos);
    std::filesystem::remove(set.path() / "migrations" / name);
  }
}

TEST_CASE("users have their rules as ACL SETUSER takes them") {
  setenv("SCHEMA_SET_TEST_SECRET", "pass#wörd", 1);
  const TempFolder set;
  Write(set, "access/users.acl",
        "# nobody\n\nuser default off\n"
        "user ada on >${SCHEMA_SET_TEST_SECRET} ~a:${SCHEMA_SET_TEST_SECRET}:* (~b %R~c  +get) (+ping) +info\r\n"
        "user bo on #5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n");
  const auto users = ReadUsers(set.path());
  REQUIRE(users.ok());
  REQUIRE(users.value().size() == 3);
  CHECK(users.value()[0].rules == Strings{"off"});
  CHECK(users.value()[1].name == "ada");
  CHECK(users.value()[1].rules == Strings{"on", ">pass#wörd", "~a:pass#wörd:*", "(~b %R~c +get)", "(+ping)", "+info"});
  CHECK(users.value()[2].rules.size() == 2);
  Write(set, "access/users.acl", "user ada on\nuser bo on\nuser ada off\n");
  CHECK(ErrorOf(ReadUsers(set.path())).find("line 3: user ada comes twice") != std::string::npos);
}

TEST_CASE("a bad line of users.acl is named, and an unset secret by its name") {
  unsetenv("SCHEMA_SET_TEST_UNSET");
  const auto error = [](const std::string& text) {
    const TempFolder set;
    Write(set, "access/users.acl", text);
    return ErrorOf(ReadUsers(set.path()));
  };
  CHECK(error("\nada on\n").find("access/users.acl: line 2: write user NAME RULES") != std::string::npos);
  CHECK(error("user\n").find("line 1") != std::string::npos);
  CHECK(error("user a on\nuser b on >${SCHEMA_SET_TEST_UNSET}\n")
            .find("line 2: the environment has no SCHEMA_SET_TEST_UNSET") != std::string::npos);
  setenv("SCHEMA_SET_TEST_SECRET", "", 1);
  CHECK(error("user a on >${SCHEMA_SET_TEST_SECRET}\n").find("the environment has no") != std::string::npos);
  CHECK(error("user a on >${SCHEMA_SET_TEST_SECRET\n").find("line 1: ${ without }") != std::string::npos);
  CHECK(error("user a on (~b +get\n").find("line 1") != std::string::npos);
}

TEST_CASE("groups and checks are words of a line") {
  const TempFolder set;
  Write(set, "access/groups.conf", "# stream group position\n  issue-stream\tg  $\nother h 0-5\n");
  const auto groups = ReadGroups(set.path());
  REQUIRE(groups.ok());
  REQUIRE(groups.value().size() == 2);
  CHECK(groups.value()[0].stream == "issue-stream");
  CHECK(groups.value()[0].group == "g");
  CHECK(groups.value()[0].position == "$");
  CHECK(groups.value()[1].position == "0-5");

  Write(set, "access/checks.conf", "ada may GET a\n\nada must-not SET a b\n");
  const auto checks = ReadChecks(set.path());
  REQUIRE(checks.ok());
  REQUIRE(checks.value().size() == 2);
  CHECK(checks.value()[0].may);
  CHECK_FALSE(checks.value()[1].may);
  CHECK(checks.value()[1].command == Strings{"SET", "a", "b"});
  CHECK(checks.value()[1].where.find("access/checks.conf: line 3") != std::string::npos);

  for (const char* line : {"a b", "a b 0 more", "stream group end", "stream group 5-"}) {
    INFO(line);
    Write(set, "access/groups.conf", std::string("s g 0\n") + line + "\n");
    CHECK(ErrorOf(ReadGroups(set.path())).find("access/groups.conf: line 2: write STREAM GROUP POSITION") !=
          std::string::npos);
  }
  for (const char* line : {"ada may", "ada could GET a", "ada"}) {
    INFO(line);
    Write(set, "access/checks.conf", std::string(line) + "\n");
    CHECK(ErrorOf(ReadChecks(set.path())).find("access/checks.conf: line 1: write USER may COMMAND") !=
          std::string::npos);
  }
}

}  // namespace
}  // namespace sprockets::testing
