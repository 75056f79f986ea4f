// What the machine around the programs can do to them: no descriptors, no memory, no log, another user, no name server,
// a clock that jumps, and each other.
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

bool HasQuarantined(const Trial& trial) {
  for (const std::string& file : trial.SpillFiles()) {
    if (file.ends_with(".quarantined")) return true;
  }
  return false;
}

/// Something to recover.
Scene Killed(Sweep& sweep) {
  return Scene(sweep, [](Trial& trial) {
    trial.Intend(4);
    trial.Offer();
    trial.sidecar.Call({"SPROCKETS", "SEAL"});
    trial.Intend(4);
    trial.Offer();
    trial.sidecar.Kill9();
  });
}

TEST_CASE("without descriptors the sidecar takes no file for damaged, and the next start has them all", "[limits]") {
  Sweep sweep;
  const Scene scene = Killed(sweep);
  int refused = 0;
  for (int descriptors = 4; descriptors <= 24; ++descriptors) {
    Trial trial(sweep.redis(), scene.Options());
    INFO(descriptors << " descriptors");
    const std::string limit = std::to_string(descriptors);
    trial.sidecar.set_prefix({"prlimit", "--nofile=" + limit + ":" + limit});
    trial.sidecar.StartWithoutWaiting();
    const auto log = [&] { return trial.sidecar.process().Stderr(); };
    Await("the sidecar to listen or to end",
          [&] { return !trial.sidecar.Running() || log().find("listening") != std::string::npos; });
    if (!trial.sidecar.Running()) ++refused;
    trial.EndSidecar();
    INFO(log());
    CHECK_FALSE(HasQuarantined(trial));
    trial.Conclude();
  }
  CHECK(refused > 0);
}

TEST_CASE("clients that take every descriptor cost no acknowledged event, and those that leave are replaced",
          "[limits]") {
  Sweep sweep;
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis()});
  REQUIRE(trial.StartSidecar({"prlimit", "--nofile=32:32"}));
  {
    std::vector<RespClient> clients;
    for (int i = 0; i < 60; ++i) clients.push_back(trial.sidecar.Connect());
    CHECK(clients[0].Call({"PING"}).text == "PONG");
    // There is no descriptor left for a spill file either.
    const Reply reply = clients[0].Call({"XADD", "early-stream", "*", "data", "1"});
    CHECK(reply.IsError("RETRY"));
  }
  trial.Intend(5);
  trial.OfferUntilAcknowledged();
  trial.Conclude();
}

TEST_CASE("short of memory the sidecar may end, but what it acknowledged is there", "[limits]") {
  if (kSanitized) {
    WARN("skipped: sanitizers need terabytes of address space");
    return;
  }
  Sweep sweep;
  for (const int mebibytes : {48, 64, 80, 96, 160}) {
    Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis()});
    INFO(mebibytes << " MiB");
    if (trial.StartSidecar({"prlimit", "--as=" + std::to_string(mebibytes << 20)})) {
      for (int round = 0; round < 20 && trial.sidecar.Running(); ++round) {
        trial.Intend(200);
        trial.Offer();
      }
    }
    trial.sidecar.Kill9();
    CHECK_FALSE(HasQuarantined(trial));
    trial.Conclude();
  }
}

TEST_CASE("a log that cannot be written is not the events' business", "[limits]") {
  Sweep sweep;
  Trial trial(sweep.redis(), {.sidecar_redis_url = sweep.NoRedis()});
  REQUIRE(trial.StartSidecar({"sh", "-c", "exec \"$0\" \"$@\" 2>/dev/full"}));
  trial.Intend(5);
  CHECK(trial.Offer().spilled == 5);
  trial.EndSidecar();
  CHECK(trial.Drain({"sh", "-c", "exec \"$0\" \"$@\" 2>/dev/full"}).exit_code == 0);
  trial.Conclude();
}

TEST_CASE("Redis's name that does not resolve keeps nobody waiting at the door", "[limits]") {
  Sweep sweep;
  Trial trial(sweep.redis(), {.sidecar_redis_url = "redis://no-such-host.invalid:6379"});
  REQUIRE(trial.StartSidecar());
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < 3s) {
    CHECK(trial.sidecar.Connect().Call({"PING"}, 1s).text == "PONG");
    std::this_thread::sleep_for(50ms);
  }
  trial.Intend(3);
  CHECK(trial.Offer().spilled == 3);
  CHECK_THAT(trial.sidecar.process().Stderr(), Catch::Contains("no-such-host.invalid"));
  trial.Conclude();
}

TEST_CASE("another user gets no answer at the socket, unless its mode says so", "[limits]") {
  if (geteuid() != 0) {
    WARN("skipped: only root can become somebody else");
    return;
  }
  Sweep sweep;
  const bool open = GENERATE(false, true);
  Trial trial(sweep.redis(),
              {.sidecar_redis_url = sweep.NoRedis(), .sidecar_arguments = {"--socket-mode", open ? "0666" : "0660"}});
  // The folders on the way are ours; only the socket's own mode is in question.
  using std::filesystem::perms;
  for (const auto& folder : {trial.folder.path(), trial.folder.path().parent_path()})
    std::filesystem::permissions(folder, perms::others_exec, std::filesystem::perm_options::add);
  REQUIRE(trial.StartSidecar());
  const RunResult ping = Run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "redis-cli", "-s",
                              trial.sidecar.socket_path(), "PING"},
                             trial.folder.path());
  INFO(ping.out << ping.err);
  CHECK((ping.out == "PONG\n") == open);
  if (!open) CHECK_THAT(ping.out + ping.err, Catch::Contains("Permission denied"));
  CHECK(trial.sidecar.Call({"PING"}).text == "PONG");
  trial.Conclude();
}

TEST_CASE("a clock that jumps forth and back changes nothing about what is promised", "[limits]") {
  if (kSanitized) {
    WARN("skipped: the sanitizer's own library must be the first to be loaded");
    return;
  }
  Sweep sweep;
  Trial trial(sweep.redis(), {});
  const std::filesystem::path offset = trial.folder / "offset";
  const std::vector<std::string> prefix = {"env", "LD_PRELOAD=" FAULT_INJECTOR, "ASAN_OPTIONS=verify_asan_link_order=0",
                                           "FAULT_CLOCK=" + offset.string()};
  REQUIRE(trial.StartSidecar(prefix));
  trial.sidecar.AwaitBreaker("closed");
  constexpr long kYear = 365L * 24 * 3600;
  for (const long seconds : {0L, kYear, -kYear, -60 * kYear, 0L}) {
    std::ofstream(offset) << seconds;
    trial.Intend(4);
    CHECK(trial.Offer().landed == 4);
  }
  trial.redis.Stop();
  for (const long seconds : {kYear, -kYear, 0L}) {
    std::ofstream(offset) << seconds;
    trial.Intend(4);
    CHECK(trial.Offer().spilled == 4);
    trial.sidecar.Call({"SPROCKETS", "SEAL"});
  }
  trial.redis.Continue();
  trial.EndSidecar();
  std::ofstream(offset) << -kYear;
  const DrainResult drained = trial.Drain(prefix);
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  trial.Compare();
}

TEST_CASE("drains that start with each other, and with a sidecar, leave each event in its stream once", "[limits]") {
  Sweep sweep;
  const Scene scene = Killed(sweep);
  for (int round = 0; round < 12; ++round) {
    Trial trial(sweep.redis(), scene.Options());
    const auto start_drain = [&](const char* name) {
      return std::make_unique<Process>(Process::Options{
          .command = ReplayerCommand({"drain", "--redis", trial.redis.Url(), "--spill-dir", trial.sidecar.spill_dir(),
                                      "--socket", trial.sidecar.socket_path()}),
          .output = trial.folder / name,
          .environment = {}});
    };
    const auto first = start_drain("first");
    std::this_thread::sleep_for(std::chrono::milliseconds(round));
    trial.sidecar.StartWithoutWaiting();
    const auto second = start_drain("second");
    Await("the sidecar", [&] { return !trial.sidecar.Running() || trial.sidecar.Answers(); });
    INFO(trial.sidecar.process().Stderr());
    REQUIRE(trial.sidecar.Running());
    for (Process* drain : {first.get(), second.get()}) {
      const auto exit_code = drain->Wait();
      INFO(drain->Stderr());
      REQUIRE(exit_code.has_value());
      CHECK((*exit_code == 0 || *exit_code == 1 || *exit_code == 4));
      if (*exit_code == 4) CHECK_THAT(drain->Stderr(), Catch::Contains("another drain is at work"));
    }
    CHECK_FALSE(HasQuarantined(trial));
    trial.Intend(2);
    trial.Conclude();
  }
}

}  // namespace
}  // namespace sprockets::harness
