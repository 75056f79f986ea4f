// The soak: real clients, sidecar, replayer and Redis under a plan of faults that a seed draws, round after round over
// the same files. After each round everything is healed and drained, and the books are compared: nothing lost, nothing
// doubled, nothing left behind.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "shared/spill_file.h"
#include "shared/spill_folder.h"
#include "tests/faults/soak/plan.h"
#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/process.h"
#include "tests/harness/stack.h"
#include "tests/harness/supervise.h"
#include "tests/harness/temp_dir.h"
#include "tests/harness/wait.h"

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;

constexpr char kMostSpilled[] = "8MiB";  // so little that some events are refused
constexpr size_t kMostLastWords = 2000;
constexpr char kSecret[] = "a-secret-that-nobody-may-print";

struct Settings {
  uint64_t seed = 1;
  double minutes = 0;
  int rounds = 0;  // at least so many
};

void Expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

size_t DescriptorsOf(pid_t pid) {
  const std::filesystem::directory_iterator descriptors("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(descriptors), end(descriptors)));
}

size_t ResidentKib(pid_t pid) {
  const std::string status = ReadWholeFile("/proc/" + std::to_string(pid) + "/status");
  const size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10);
}

std::string StatusOf(const Sidecar& sidecar) {
  try {
    return sidecar.Status().dump();
  } catch (const std::exception& problem) {
    return problem.what();
  }
}

class Soak {
 public:
  explicit Soak(const Settings& settings)
      : settings_(settings),
        planner_(settings.seed),
        stack_({.through_proxy = true,
                .redis_user = "soaker",
                .redis_options = {"--busy-reply-threshold", "50", "--user", "soaker", "on", std::string(">") + kSecret,
                                  "~*", "&*", "+@all"},
                .sidecar_options = {"--seal-after", "1s", "--spill-max-bytes", kMostSpilled, "--log-format", "json",
                                    "--redis-password-file", PasswordFile(secrets_)}}) {}

  void Run() {
    Heal();
    files_ = Files();
    descriptors_ = DescriptorsOf(stack_.sidecar.process().pid());
    const auto begun = std::chrono::steady_clock::now();
    const auto enough = begun + std::chrono::milliseconds(static_cast<int64_t>(settings_.minutes * 60'000));
    while (rounds_ < settings_.rounds || std::chrono::steady_clock::now() < enough) {
      RunRound(planner_.Next());
      ++rounds_;
      std::printf("round %d: %zu acknowledged so far, %zu lost, %zu doubled\n", rounds_, books_.acknowledged,
                  books_.lost, books_.doubled);
      std::fflush(stdout);
    }
  }

  /// How sidecar and Redis are, after a failure.
  void PrintProcesses() {
    const auto print = [](const char* name, Process& process) {
      const std::optional<int> exit_code = process.Wait(0ms);
      const std::string state = exit_code ? "has ended with " + std::to_string(*exit_code) : "runs";
      const std::string words = process.Stdout() + process.Stderr();
      std::printf("%s %s; its last words:\n%s\n", name, state.c_str(),
                  words.substr(words.size() - std::min(words.size(), kMostLastWords)).c_str());
    };
    print("the sidecar", stack_.sidecar.process());
    if (stack_.sidecar.process().Running()) std::printf("its status: %s\n", StatusOf(stack_.sidecar).c_str());
    print("Redis", stack_.redis.process());
  }

  void PrintTable() const {
    std::printf("\n| what | times |\n| --- | ---: |\n| rounds | %d |\n", rounds_);
    for (const BlowName& blow : kBlows) {
      const auto struck = struck_.find(blow.blow);
      std::printf("| %s | %d |\n", std::string(blow.name).c_str(), struck == struck_.end() ? 0 : struck->second);
    }
    std::printf("| drains begun | %d |\n| events acknowledged | %zu |\n| lost | %zu |\n| doubled | %zu |\n", drains_,
                books_.acknowledged, books_.lost, books_.doubled);
    std::printf("| refused, given up, and not stored | %zu |\n| neighbours whose order was compared | %zu |\n",
                books_.refused, books_.in_order);
  }

 private:
  static std::string PasswordFile(const TempDir& folder) {
    const std::filesystem::path path = folder / "password";
    std::ofstream(path) << kSecret << "\n";
    return path;
  }

  void RunRound(const Round& round) {
    {
      Load load(stack_.sidecar.socket_path(), ledger_,
                {.clients = 4, .pause = 2ms, .first_event = next_event_, .impatient = 2, .limit = 60s});
      next_event_ += 100'000'000;
      refused_a_drain_ = false;
      for (const soak::Event& event : round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(event.wait_ms));
        if (event.drains) EnsureReplayerRuns();
        Strike(event);
        ++struck_[event.blow];
      }
      load.Stop();
    }
    Heal();
    Check();
  }

  void ExpectEndsWell() {
    const int exit_code = stack_.sidecar.Terminate();
    Expect(exit_code == 0,
           "the sidecar ended with " + std::to_string(exit_code) + ": " + stack_.sidecar.process().Stderr());
  }

  void Strike(const soak::Event& event) {
    const auto last = [&] { std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms)); };
    RedisServer& redis = stack_.redis;
    const bool refuses =
        event.blow == Blow::kOutOfMemory || event.blow == Blow::kNotEnoughReplicas || event.blow == Blow::kBusyScript;
    if (refuses && replayer_ && replayer_->Running()) refused_a_drain_ = true;
    Proxy& proxy = *stack_.proxy;
    switch (event.blow) {
      case Blow::kKillRedis:
        redis.Kill9();
        last();
        return redis.Start();
      case Blow::kKillSidecar:
        stack_.sidecar.Kill9();
        return stack_.sidecar.Start();
      case Blow::kTerminateSidecar:
        ExpectEndsWell();
        return stack_.sidecar.Start();
      case Blow::kKillReplayer:
        EnsureReplayerRuns();
        std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms / 20));
        return replayer_->Kill9();
      case Blow::kHangRedis:
        redis.Stop();
        last();
        return redis.Continue();
      case Blow::kOutOfMemory:
        redis.Set("maxmemory", "100kb");
        last();
        return redis.Set("maxmemory", "0");
      case Blow::kNotEnoughReplicas:
        redis.Set("min-replicas-to-write", "3");
        last();
        return redis.Set("min-replicas-to-write", "0");
      case Blow::kBusyScript:
        return RunBusyScript(event.lasts_ms);
      case Blow::kPauseWrites:
        redis.Call({"CLIENT", "PAUSE", std::to_string(event.lasts_ms), "WRITE"});
        return last();
      case Blow::kDropClients:
        redis.Call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
        return;
      case Blow::kCutNetwork:
        return proxy.CutClients();
      case Blow::kCutAtByte:
        proxy.CutAfter(event.bytes % 2 == 1 ? Proxy::Direction::kToClient : Proxy::Direction::kToRedis,
                       static_cast<size_t>(event.bytes));
        last();
        proxy.TakeCut();
        return;
      case Blow::kHoldBytes:
        proxy.HoldRequests();
        last();
        proxy.CutClients();
        last();
        return proxy.ReleaseRequests();
      case Blow::kRefuseConnections:
        proxy.RefuseConnections(true);
        proxy.CutClients();
        last();
        return proxy.RefuseConnections(false);
      case Blow::kDelayReplies:
        proxy.DelayReplies(std::chrono::milliseconds(event.lasts_ms / 2));
        last();
        return proxy.DelayReplies(0ms);
      case Blow::kStrangeReply:
        return proxy.ReplaceNextReply("$", "-ERR upstream had enough\r\n");
      case Blow::kSeal:
        stack_.sidecar.Call({"SPROCKETS", "SEAL"});
        return;
    }
  }

  void RunBusyScript(int lasts_ms) {
    RespClient connection = stack_.redis.Connect();
    connection.Send({"EVAL", "while true do end", "0"});
    std::this_thread::sleep_for(std::chrono::milliseconds(lasts_ms + 100));
    stack_.redis.Call({"SCRIPT", "KILL"});
  }

  void EnsureReplayerRuns() {
    if (replayer_ && replayer_->Running()) return;
    replayer_.reset();
    replayer_ = std::make_unique<Process>(Process::Options{
        .command = ReplayerCommand({"drain", "--redis", stack_.redis.Url(), "--spill-dir", stack_.sidecar.spill_dir(),
                                    "--socket", stack_.sidecar.socket_path(), "--progress", "none"}),
        .output = stack_.folder / "replayer",
        .environment = {}});
    ++drains_;
  }

  /// Redis and the network are well again; what is left is drained by a replayer that nobody kills.
  void Heal() {
    if (replayer_) replayer_->Kill9();
    stack_.sidecar.AwaitBreaker("closed");
    DrainResult drained;
    for (int i = 0; i < 5 && (drained.exit_code != 0 || !stack_.SpillFiles().empty()); ++i) drained = stack_.Drain();
    Expect(drained.exit_code == 0 && stack_.SpillFiles().empty(),
           "the backlog does not reach zero: " + drained.err + drained.summary.dump());
    if (!refused_a_drain_) NoteTicketsNeverSent();
    Expect(stack_.Drain({"--keep", "0"}).exit_code == 0, "a drain that finds nothing to do fails");
  }

  /// Of the drained files that are still there. Where a server refuses a drain's events for a moment, those behind them
  /// that were on their way already go first; so no order is expected of such a round.
  void NoteTicketsNeverSent() {
    const auto folder = SpillFolder::OpenExisting(stack_.sidecar.spill_dir());
    const std::vector<SpillFileInfo> files = folder.value().List().value();
    for (const SpillFileInfo& info : files) {
      SpillFile file = SpillFile::Open(info).value();
      const std::vector<SpilledStream> streams = file.Streams().value();
      for (const SpilledStream& stream : streams) {
        const Status visited = file.Visit(stream, 0, 0, [&](const SpilledEvent& event) {
          if (!event.doubt) never_sent_.insert("0-" + std::to_string(event.ticket));
          return true;
        });
        Expect(visited.ok(), "a drained file is damaged");
      }
    }
  }

  std::set<std::string> Files() const {
    const std::filesystem::path folder = stack_.sidecar.spill_dir();
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      names.insert(entry.path().lexically_relative(folder));
    return names;
  }

  void Check() {
    RespClient redis = stack_.redis.Connect();
    books_ = ledger_.Compare(redis, never_sent_);
    Expect(books_.difference_count == 0, "the books differ: " + books_.ToString());
    const pid_t sidecar = stack_.sidecar.process().pid();
    const bool closed = WaitUntil([&] { return DescriptorsOf(sidecar) <= descriptors_; });
    Expect(closed, "the sidecar has " + std::to_string(DescriptorsOf(sidecar)) + " descriptors open, and had " +
                       std::to_string(descriptors_));
    std::string left;
    for (const std::string& name : Files()) left += files_.contains(name) ? "" : " " + name;
    Expect(left.empty(), "the spill folder still has" + left);
    const size_t resident = ResidentKib(sidecar);
    Expect(resident < kMostResidentKib, "the sidecar takes " + std::to_string(resident) + " KiB");
    const std::string logs = stack_.sidecar.process().Stdout() + stack_.sidecar.process().Stderr();
    const std::string told = stack_.sidecar.Status().dump() + stack_.sidecar.Call({"INFO"}).text;
    const std::string argv = ReadWholeFile("/proc/" + std::to_string(sidecar) + "/cmdline");
    Expect((logs + told + argv).find(kSecret) == std::string::npos, "the password was printed");
  }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr size_t kMostResidentKib = 2048 * 1024;  // shadow memory
#else
  static constexpr size_t kMostResidentKib = 64 * 1024;
#endif

  const Settings settings_;
  Planner planner_;
  const TempDir secrets_;
  Stack stack_;
  Ledger ledger_;
  Ledger::Comparison books_;  // after the last round
  std::unique_ptr<Process> replayer_;
  std::map<Blow, int> struck_;
  std::set<std::string> never_sent_;  // tickets of events that were spilled at once
  bool refused_a_drain_ = false;      // in this round
  std::set<std::string> files_;       // of an idle sidecar, as is
  size_t descriptors_ = 0;
  uint64_t next_event_ = 0;
  int rounds_ = 0;
  int drains_ = 0;
};

void PrintPlan(uint64_t seed, int rounds) {
  Planner planner(seed);
  for (int i = 0; i < rounds; ++i) {
    std::printf("round %d:", i + 1);
    for (const soak::Event& event : planner.Next()) {
      const auto named =
          std::find_if(kBlows.begin(), kBlows.end(), [&](const BlowName& blow) { return blow.blow == event.blow; });
      std::printf(" +%dms %s (%dms)%s;", event.wait_ms, std::string(named->name).c_str(), event.lasts_ms,
                  event.drains ? " during a drain" : "");
    }
    std::printf("\n");
  }
}

int Main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--seed") settings.seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--minutes") settings.minutes = std::strtod(argv[i + 1], nullptr);
    if (name == "--rounds") settings.rounds = std::atoi(argv[i + 1]);
  }
  settings.rounds = std::max(settings.rounds, 1);
  std::printf("seed %llu; its plan begins:\n", static_cast<unsigned long long>(settings.seed));
  PrintPlan(settings.seed, 2);
  Soak soak(settings);
  int exit_code = 0;
  try {
    soak.Run();
  } catch (const std::exception& problem) {
    std::printf("FAILED: %s\n", problem.what());
    soak.PrintProcesses();
    exit_code = 1;
  }
  soak.PrintTable();
  return exit_code;
}

}  // namespace
}  // namespace sprockets::soak

int main(int argc, char** argv) {
  return sprockets::harness::RunSupervised([&] {
    try {
      return sprockets::soak::Main(argc, argv);
    } catch (const std::exception& problem) {
      std::printf("FAILED: %s\n", problem.what());
      return 1;
    }
  });
}
