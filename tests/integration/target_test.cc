// What a drain and `status` say of what they do not see themselves: the file that a sidecar is writing, another Redis
// than the sidecar's, a folder that is none.
#include <chrono>
#include <filesystem>
#include <signal.h>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

nlohmann::json Json(const std::string& text) {
  return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

TEST_CASE("a drain that follows takes what waits where it reaches Redis and the sidecar does not", "[target]") {
  Stack stack({.sidecar_options = {"--seal-after", "1s"}});
  RespClient admin = stack.redis.Connect();
  REQUIRE(stack.Xadd("s", {"data", "0"}).Landed());
  // The password is another one now, and the sidecar's connection is gone.
  REQUIRE(admin.Call({"CONFIG", "SET", "requirepass", "rotated"}).text == "OK");
  REQUIRE(admin.Call({"CLIENT", "KILL", "TYPE", "normal"}).integer >= 1);
  stack.sidecar.AwaitBreaker("open");
  for (int i = 0; i < 80; ++i) CHECK(stack.Xadd("s", {"data", "x"}).Spilled());
  const std::string url = "redis://:rotated@127.0.0.1:" + std::to_string(stack.redis.port());
  Process follow({.command = ReplayerCommand({"drain", "--follow", "--json", "--redis", url, "--spill-dir",
                                              stack.sidecar.spill_dir().string(), "--socket",
                                              stack.sidecar.socket_path().string()}),
                  .output = stack.folder / "follow",
                  .environment = {}});
  Await(
      "all of it in the stream",
      [&] {
        return admin.Call({"XLEN", "s"}).integer == 81;
      },
      40s);
  for (int i = 0; i < 5; ++i) CHECK(stack.Xadd("s", {"data", "y"}).Spilled());
  follow.Signal(SIGTERM);
  CHECK(follow.Wait() == 1);
  const nlohmann::json summary = Json(follow.Stdout());
  CHECK(summary.value("left", -1) == 5);
  CHECK(summary.value("result", "") == "left");
}

TEST_CASE("what waits in the active file is left, and the first line of status says so", "[target]") {
  Stack stack({.redis_up = false});
  for (int i = 0; i < 3; ++i) REQUIRE(stack.Xadd("s", {"data", "x"}).Spilled());
  const std::string spill_dir = stack.sidecar.spill_dir().string();
  const std::string socket = stack.sidecar.socket_path().string();
  const RunResult known = RunReplayer(stack.folder.path(), {"status", "--spill-dir", spill_dir, "--socket", socket});
  CHECK(known.out.starts_with("3 events wait, the oldest for "));
  CHECK(known.out.substr(0, known.out.find('\n')).find("the sidecar does not reach Redis: ") != std::string::npos);
  const RunResult unknown = RunReplayer(stack.folder.path(), {"status", "--spill-dir", spill_dir});
  CHECK(unknown.out.starts_with("at least 0 events wait"));
  const RunResult dry = RunReplayer(stack.folder.path(), {"drain", "--dry-run", "--json", "--redis", stack.redis.Url(),
                                                          "--spill-dir", spill_dir, "--socket", socket});
  CHECK(dry.exit_code == 1);
  CHECK(Json(dry.out).value("left", -1) == 3);
  const RunResult shown = RunReplayer(stack.folder.path(), {"show", "--spill-dir", spill_dir});
  CHECK(shown.err.find("active-file-not-shown") != std::string::npos);
}

TEST_CASE("STATUS knows every row that was acknowledged, whenever it is asked", "[target]") {
  Stack stack({.redis_up = false});
  const auto until = std::chrono::steady_clock::now() + 2500ms;
  for (int64_t rows = 1; std::chrono::steady_clock::now() < until; ++rows) {
    REQUIRE(stack.Xadd("s", {"data", "x"}).Spilled());
    REQUIRE(stack.sidecar.Status().at("spill").at("rows") == rows);
  }
}

TEST_CASE("a drain into another database or another Redis than the sidecar's is refused", "[target]") {
  Stack stack({.redis_up = false});
  REQUIRE(stack.Xadd("s", {"data", "x"}).Spilled());
  stack.RestartRedis();
  const std::string spill_dir = stack.sidecar.spill_dir().string();
  const std::string socket = stack.sidecar.socket_path().string();
  SECTION("another database") {
    const RunResult other = RunReplayer(stack.folder.path(), {"drain", "--redis", stack.redis.Url() + "/5",
                                                              "--spill-dir", spill_dir, "--socket", socket, "--json"});
    INFO(other.err);
    CHECK(other.exit_code == 4);
    CHECK(Json(other.out).value("error", "").find("database 0") != std::string::npos);
    RespClient redis = stack.redis.Connect();
    CHECK(redis.Call({"SELECT", "5"}).text == "OK");
    CHECK(redis.Call({"EXISTS", "s"}).integer == 0);
  }
  SECTION("another database, and no sidecar that could be asked") {
    CHECK(stack.sidecar.Terminate() == 0);
    const RunResult other =
        RunReplayer(stack.folder.path(), {"drain", "--redis", stack.redis.Url() + "/5", "--spill-dir", spill_dir});
    CHECK(other.exit_code == 4);
    CHECK(other.err.find("was spilled for database 0") != std::string::npos);
    RespClient redis = stack.redis.Connect();
    CHECK(redis.Call({"SELECT", "5"}).text == "OK");
    CHECK(redis.Call({"EXISTS", "s"}).integer == 0);
  }
  SECTION("another server") {
    RedisServer other(stack.folder / "other");
    std::filesystem::create_directories(stack.folder / "other");
    other.Start();
    const RunResult drained = RunReplayer(
        stack.folder.path(), {"drain", "--redis", other.Url(), "--spill-dir", spill_dir, "--socket", socket, "--json"});
    INFO(drained.err);
    CHECK(drained.exit_code == 4);
    CHECK(other.Call({"EXISTS", "s"}).integer == 0);
  }
  const DrainResult drained = stack.Drain();
  INFO(drained.err);
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("s") == 1);
}

// Nobody can be asked which Redis is the right one: the sidecar is gone, or does not reach it.
TEST_CASE("a Redis at another address that lacks what was there when events were spilled is refused", "[target]") {
  Stack stack;
  REQUIRE(stack.Xadd("s", {"data", "before"}).Landed());
  stack.redis.Kill9();
  stack.sidecar.AwaitBreaker("open");
  REQUIRE(stack.Xadd("s", {"data", "waits"}).Spilled());
  const bool sidecar_runs = GENERATE(true, false);
  if (!sidecar_runs) CHECK(stack.sidecar.Terminate() == 0);
  RedisServer other(stack.folder / "other");
  std::filesystem::create_directories(stack.folder / "other");
  other.Start();
  std::vector<std::string> words = {"drain",
                                    "--redis",
                                    other.Url(),
                                    "--spill-dir",
                                    stack.sidecar.spill_dir().string(),
                                    "--json",
                                    "--socket",
                                    stack.sidecar.socket_path().string()};
  const RunResult refused = RunReplayer(stack.folder.path(), words);
  INFO(refused.err << refused.out);
  CHECK(refused.exit_code == 4);
  CHECK(Json(refused.out).value("error", "").find("where stream s had reached") != std::string::npos);
  CHECK(other.Call({"EXISTS", "s"}).integer == 0);
  SECTION("it takes the other's place") {
    words.emplace_back("--force");
    CHECK(RunReplayer(stack.folder.path(), words).exit_code == 0);
    CHECK(other.Call({"XLEN", "s"}).integer == 1);
  }
  SECTION("the right one, wherever it is now") {
    stack.redis.Start();
    const DrainResult drained = stack.Drain();
    INFO(drained.err);
    CHECK(drained.exit_code == 0);
    CHECK(stack.Length("s") == 2);
  }
}

TEST_CASE("a folder that is not a spill folder is refused, and nothing is made in it", "[target]") {
  Stack stack;
  const std::filesystem::path folder = stack.folder / "empty";
  std::filesystem::create_directories(folder);
  for (const char* command : {"drain", "status", "show"}) {
    std::vector<std::string> words = {command, "--spill-dir", folder.string()};
    if (std::string(command) != "show") words.insert(words.end(), {"--json", "--redis", stack.redis.Url()});
    const RunResult run = RunReplayer(stack.folder.path(), words);
    INFO(command << run.out << run.err);
    CHECK(run.exit_code == 3);
    CHECK(run.err.find("is not a spill folder") != std::string::npos);
    if (std::string(command) != "show")
      CHECK(Json(run.out).value("error", "").find("is not a spill folder") != std::string::npos);
  }
  CHECK(std::filesystem::is_empty(folder));
}

TEST_CASE("a socket where no sidecar answers is said", "[target]") {
  Stack stack;
  const RunResult drained =
      RunReplayer(stack.folder.path(), {"drain", "--redis", stack.redis.Url(), "--spill-dir",
                                        stack.sidecar.spill_dir().string(), "--socket", "/nowhere/sidecar.sock"});
  CHECK(drained.exit_code == 0);
  CHECK(drained.err.find("sidecar-not-reached") != std::string::npos);
}

}  // namespace
}  // namespace sprockets::harness
