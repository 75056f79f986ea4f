#include "shared/spill/sqlite.h"

#include <catch2/catch.hpp>

#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

namespace {

constexpr int32_t kApplication = 0x11223344;

Database::Options Options(int32_t version = 1) {
  Database::Options options;
  options.application_id = kApplication;
  options.user_version = version;
  options.busy_timeout_ms = 50;
  options.initialize = [](Database& database) { return database.Execute("CREATE TABLE t (a ANY) STRICT"); };
  return options;
}

Database::Options ExistingOptions() {
  Database::Options options = Options();
  options.initialize = nullptr;
  return options;
}

ErrorCode CodeOfOpen(const std::filesystem::path& path, const Database::Options& options) {
  auto database = Database::Open(path, options);
  REQUIRE_FALSE(database.ok());
  return database.error().code;
}

bool HasJournal(const std::filesystem::path& path) {
  return std::filesystem::exists(path.native() + "-wal") || std::filesystem::exists(path.native() + "-journal");
}

/// A WAL with a commit a row, as a killed process leaves it; behind them, if asked for, what is left of an earlier
/// round of `checkpointed` rows.
void LeaveWalBehind(const std::filesystem::path& path, int commits, int checkpointed = 0) {
  const bool killed = RunAndKill([&] {
    Database::Options options = Options();
    options.journal = Database::Journal::kWal;
    auto database = Database::Open(path, options);
    if (!database.ok()) _exit(1);
    for (int i = 0; i < checkpointed + commits; ++i) {
      if (i == checkpointed && i > 0 && !database.value().Checkpoint(Database::WalRoom::kKeep).ok()) _exit(1);
      if (!database.value().Execute("INSERT INTO t VALUES (zeroblob(3000))").ok()) _exit(1);
    }
  });
  REQUIRE(killed);
}

}  // namespace

TEST_CASE("a missing file is not created unless asked for") {
  TemporaryFolder folder;
  CHECK(CodeOfOpen(folder.path() / "a", ExistingOptions()) == ErrorCode::kNotFound);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "a"));
}

TEST_CASE("an empty file and garbage are corrupt") {
  TemporaryFolder folder;
  WriteBytes(folder.path() / "empty", "");
  WriteBytes(folder.path() / "garbage", std::string(8192, 'g'));
  WriteBytes(folder.path() / "short", "SQLite");
  CHECK(CodeOfOpen(folder.path() / "empty", ExistingOptions()) == ErrorCode::kCorrupt);
  CHECK(CodeOfOpen(folder.path() / "garbage", ExistingOptions()) == ErrorCode::kCorrupt);
  CHECK(CodeOfOpen(folder.path() / "garbage", Options()) == ErrorCode::kCorrupt);
  CHECK(CodeOfOpen(folder.path() / "short", ExistingOptions()) == ErrorCode::kCorrupt);
}

TEST_CASE("an empty database beside a WAL with bytes is corrupt, and the WAL stays") {
  TemporaryFolder folder;
  WriteBytes(folder.path() / "a", "");
  WriteBytes(folder.path() / "a-wal", "rows");
  CHECK(CodeOfOpen(folder.path() / "a", ExistingOptions()) == ErrorCode::kCorrupt);
  CHECK(ReadBytes(folder.path() / "a-wal") == "rows");
}

TEST_CASE("a file of a newer version or of another program stays untouched") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  Must(Database::Open(path, Options(2)));
  const std::string before = ReadBytes(path);
  for (const auto journal : {Database::Journal::kDelete, Database::Journal::kWal}) {
    Database::Options options = ExistingOptions();
    options.journal = journal;
    CHECK(CodeOfOpen(path, options) == ErrorCode::kForeign);
    options.user_version = 2;
    options.application_id = 1;
    CHECK(CodeOfOpen(path, options) == ErrorCode::kForeign);
  }
  CHECK(ReadBytes(path) == before);
  CHECK_FALSE(HasJournal(path));
}

TEST_CASE("a newer file that a crash left in WAL mode stays untouched, its WAL too") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  LeaveWalBehind(path, 2);
  const std::string before = ReadBytes(path);
  const std::string wal = ReadBytes(path.native() + "-wal");
  Database::Options options = ExistingOptions();
  options.user_version = 0;
  CHECK(CodeOfOpen(path, options) == ErrorCode::kForeign);
  CHECK(ReadBytes(path) == before);
  CHECK(ReadBytes(path.native() + "-wal") == wal);
}

TEST_CASE("a symbolic link is not followed") {
  TemporaryFolder folder;
  Must(Database::Open(folder.path() / "real", Options()));
  std::filesystem::create_symlink(folder.path() / "real", folder.path() / "link");
  CHECK(CodeOfOpen(folder.path() / "link", Options()) == ErrorCode::kIo);
}

TEST_CASE("a process killed while it creates a file leaves one that can be created again") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  const bool killed = RunAndKill([&] {
    Database::Options options = Options();
    options.cache_bytes = 64 * 1024;  // so small that pages of the open transaction reach the file
    options.initialize = [](Database& database) {
      Status status = database.Execute("CREATE TABLE t (a ANY) STRICT; INSERT INTO t VALUES (zeroblob(1000000))");
      if (status.ok()) kill(getpid(), SIGKILL);
      return status;
    };
    (void)Database::Open(path, options).ok();
  });
  REQUIRE(killed);
  SECTION("to one who will not create it, it is corrupt and now empty") {
    CHECK(CodeOfOpen(path, ExistingOptions()) == ErrorCode::kCorrupt);
    CHECK(std::filesystem::file_size(path) == 0);
  }
  SECTION("to one who will, it is new") {
    Database database = Must(Database::Open(path, Options()));
    CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")) == 0);
  }
}

TEST_CASE("the file and its WAL are nobody else's to read") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  Database::Options options = Options();
  options.journal = Database::Journal::kWal;
  Database database = Must(Database::Open(path, options));
  Must(database.Execute("INSERT INTO t VALUES (1)"));
  for (const std::string& name : {path.native(), path.native() + "-wal"}) {
    CHECK(std::filesystem::status(name).permissions() == std::filesystem::perms(0600));
  }
}

TEST_CASE("an exclusive WAL file is busy for other processes") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  Database::Options options = Options();
  options.journal = Database::Journal::kWal;
  Database database = Must(Database::Open(path, options));
  CHECK(RunApart([&] {
          auto other = Database::Open(path, ExistingOptions());
          return !other.ok() && other.error().code == ErrorCode::kBusy ? 0 : 1;
        }) == 0);
}

TEST_CASE("what was committed before a kill is there, what was not is not") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  const bool killed = RunAndKill([&] {
    Database::Options options = Options();
    options.journal = Database::Journal::kWal;
    auto database = Database::Open(path, options);
    if (!database.ok() || !database.value().Execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").ok())
      _exit(1);
    if (!database.value().Begin().ok() || !database.value().Execute("INSERT INTO t VALUES (3)").ok()) _exit(1);
  });
  REQUIRE(killed);
  Database database = Must(Database::Open(path, ExistingOptions()));
  CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")) == 2);
  CHECK_FALSE(HasJournal(path));
}

TEST_CASE("a torn last commit is dropped, a damaged one in the middle is noticed and kept") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  LeaveWalBehind(path, 5);
  const std::string wal_path = path.native() + "-wal";
  std::string wal = ReadBytes(wal_path);
  SECTION("torn") {
    wal[wal.size() - 100] ^= 1;
    WriteBytes(wal_path, wal);
    Database database = Must(Database::Open(path, ExistingOptions()));
    CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")) == 4);
  }
  SECTION("cut off") {
    WriteBytes(wal_path, std::string_view(wal).substr(0, wal.size() - 1000));
    Database database = Must(Database::Open(path, ExistingOptions()));
    CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")) == 4);
  }
  for (const size_t at : {size_t{20}, size_t{200}, size_t{9000}}) {
    DYNAMIC_SECTION("damaged at byte " << at) {
      wal[at] ^= 1;
      WriteBytes(wal_path, wal);
      CHECK(CodeOfOpen(path, ExistingOptions()) == ErrorCode::kCorrupt);
      CHECK(ReadBytes(wal_path) == wal);
      Database::Options salvage = ExistingOptions();
      salvage.accept_damaged_wal = true;
      Database database = Must(Database::Open(path, salvage));
      CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")).value() < 5);
    }
  }
}

TEST_CASE("what an earlier round left behind in a WAL is no damage, and hides none") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  const int earlier = GENERATE(3, 20);
  LeaveWalBehind(path, 5, earlier);
  const std::string wal_path = path.native() + "-wal";
  std::string wal = ReadBytes(wal_path);
  SECTION("whole") {
    Database database = Must(Database::Open(path, ExistingOptions()));
    CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")) == earlier + 5);
  }
  for (const size_t at : {size_t{20}, size_t{42}, size_t{200}, size_t{9000}}) {
    DYNAMIC_SECTION("damaged at byte " << at) {
      wal[at] ^= 1;
      WriteBytes(wal_path, wal);
      CHECK(CodeOfOpen(path, ExistingOptions()) == ErrorCode::kCorrupt);
    }
  }
}

TEST_CASE("a full database says so and the transaction before it is whole") {
  TemporaryFolder folder;
  Database::Options options = Options();
  options.max_bytes = 64 * 1024;
  Database database = Must(Database::Open(folder.path() / "a", options));
  Must(database.Execute("INSERT INTO t VALUES (1)"));
  Must(database.Begin());
  const Status status = database.Execute("INSERT INTO t VALUES (zeroblob(1000000))");
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == ErrorCode::kFull);
  database.Rollback();
  CHECK(Must(database.QueryInteger("SELECT count(*) FROM t")) == 1);
}

TEST_CASE("a file that is there keeps its page size, and its limit counts its own pages") {
  TemporaryFolder folder;
  Database::Options options = Options();
  Must(Database::Open(folder.path() / "a", options));
  options.page_bytes = 16 * 1024;
  options.max_bytes = 64 * 1024;
  Database small = Must(Database::Open(folder.path() / "a", options));
  CHECK(Must(small.QueryInteger("PRAGMA page_size")) == 4096);
  CHECK(Must(small.QueryInteger("PRAGMA max_page_count")) == 16);
  Database large = Must(Database::Open(folder.path() / "b", options));
  CHECK(Must(large.QueryInteger("PRAGMA page_size")) == 16 * 1024);
  CHECK(Must(large.QueryInteger("PRAGMA max_page_count")) == 4);
  options.page_bytes = 5'000;
  CHECK(Database::Open(folder.path() / "c", options).error().code == ErrorCode::kIo);
}

TEST_CASE("a name in double quotes is never taken for a string") {
  TemporaryFolder folder;
  Database database = Must(Database::Open(folder.path() / "a", Options()));
  CHECK_FALSE(database.Prepare("SELECT \"no such column\" FROM t").ok());
}

TEST_CASE("bytes come back as they were bound, readable ones as text") {
  TemporaryFolder folder;
  Database database = Must(Database::Open(folder.path() / "a", Options()));
  const std::string with_nul("a\0b", 3);
  const std::vector<std::pair<std::string, std::string>> cases = {{"", "text"},         {"123", "text"},
                                                                  {"Grüße", "text"},    {with_nul, "blob"},
                                                                  {"\xff\xfe", "blob"}, {"\xef\xbb\xbfx", "text"}};
  for (const auto& [bytes, type] : cases) {
    Must(database.Execute("DELETE FROM t"));
    Statement insert = Must(database.Prepare("INSERT INTO t VALUES (?)"));
    insert.BindBytes(1, bytes);
    Must(insert.Run());
    Statement select = Must(database.Prepare("SELECT a, typeof(a) FROM t"));
    REQUIRE(Must(select.Step()));
    CHECK_FALSE(select.IsNull(0));
    CHECK(select.Bytes(0) == bytes);
    CHECK(select.Bytes(1) == type);
  }
}

TEST_CASE("a WAL that keeps its room does not grow again") {
  TemporaryFolder folder;
  Database::Options options = Options();
  options.journal = Database::Journal::kWal;
  Database database = Must(Database::Open(folder.path() / "a", options));
  Must(database.Execute("INSERT INTO t VALUES (zeroblob(100000))"));
  Must(database.Checkpoint(Database::WalRoom::kKeep));
  const int64_t room = database.WalBytes();
  CHECK(room > 100000);
  for (int i = 0; i < 50; ++i) {
    Must(database.Execute("INSERT INTO t VALUES (1)"));
    Must(database.Checkpoint(Database::WalRoom::kKeep));
  }
  CHECK(database.WalBytes() == room);
  Must(database.Checkpoint());
  CHECK(database.WalBytes() == 0);
}
