// The soak: real clients, sidecar, replayer and Redis under a plan of faults that a seed draws, round after round over
// the same files. After each round everything is healed and drained, and the books are compared: nothing lost, nothing
// doubled, nothing left behind.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
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

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite_file.h"
#include "tests/faults/soak/expect.h"
#include "tests/faults/soak/plan.h"
#include "tests/faults/soak/set_soak.h"
#include "tests/harness/ledger.h"
#include "tests/harness/load.h"
#include "tests/harness/process.h"
#include "tests/harness/sample_events.h"
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
constexpr auto kDrainLimit = 10s;
constexpr char kSecret[] = "a-secret-that-nobody-may-print";
constexpr char kLedSuffix[] = ":led";   // --rename
constexpr int kMostSampleEvents = 100;  // until every stream has been named

// From smaller than what is in flight at once to the preset.
constexpr std::array kWindows{"100000", "16", "200", "1"};
constexpr uint64_t kLeastWindowToRedeliver = 200;  // more than all clients send meanwhile

struct Settings {
  uint64_t seed = 1;
  double minutes = 0;
  int rounds = 0;     // at least so many
  bool sets = false;  // of schema sets, instead of events
};

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
        window_(kWindows[settings.seed % kWindows.size()]),
        stack_({.through_proxy = true,
                .redis_user = "soaker",
                .redis_options = {"--busy-reply-threshold", "50", "--user", "soaker", "on", std::string(">") + kSecret,
                                  "~*", "&*", "+@all", "--user", "drainer", "on", std::string(">") + kSecret, "~*",
                                  "&*", "+@all"},
                .sidecar_options = {"--seal-after", "1s", "--spill-max-bytes", kMostSpilled, "--log-format", "json",
                                    "--dedupe-window", window_, "--redis-password-file", PasswordFile(secrets_)}}) {
    std::set<std::string> streams;
    for (uint64_t n = 0; n < kMostSampleEvents; ++n) streams.insert(SampleEvent(n).stream);
    streams_.assign(streams.begin(), streams.end());
  }

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
    std::printf("| drains that said verified, and were right | %d |\n", drains_verified_);
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
                {.clients = 4,
                 .pause = 2ms,
                 .first_event = next_event_,
                 .impatient = 2,
                 .redelivers = std::stoull(window_) >= kLeastWindowToRedeliver,
                 .limit = 60s});
      next_event_ += 100'000'000;
      disordered_ = false;
      for (const soak::Event& event : round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(event.wait_ms));
        if (event.drains) EnsureReplayerRuns(event.drain);
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
    if (refuses && replayer_ && replayer_->Running()) disordered_ = true;
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
        EnsureReplayerRuns(event.drain);
        std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms / 20));
        return replayer_.reset();  // with -9
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
      case Blow::kRotatePassword:
        redis.Call({"ACL", "SETUSER", "soaker", "resetpass", ">another"});
        redis.Call({"CLIENT", "KILL", "USER", "soaker"});
        last();
        redis.Call({"ACL", "SETUSER", "soaker", "resetpass", std::string(">") + kSecret});
        return;
      case Blow::kTakeRights:
        return TakeRights(event);
      case Blow::kAwaitDrain:
        EnsureReplayerRuns(event.drain);
        if (replayer_follows_) replayer_->Signal(SIGTERM);
        if (replayer_->Wait(kDrainLimit)) return JudgeDrain();
        return replayer_.reset();  // with -9
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

  /// Of the sidecar's user what makes it spill, of the drain's what it asks Redis with. (Without CLIENT KILL, or for a
  /// sidecar that starts without XREVRANGE, nothing is promised.)
  void TakeRights(const soak::Event& event) {
    const std::vector<std::vector<std::string>> choices = {{"soaker", "-xadd"},   {"soaker", "resetkeys", "~nothing"},
                                                           {"drainer", "-xadd"},  {"drainer", "-xrange"},
                                                           {"drainer", "-xinfo"}, {"drainer", "resetkeys", "~nothing"}};
    const auto& choice = choices[static_cast<size_t>(event.drain.choice) % choices.size()];
    Command take{"ACL", "SETUSER"};
    take.insert(take.end(), choice.begin(), choice.end());
    stack_.redis.Call(take);
    disordered_ = true;  // what was refused follows later
    std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms));
    stack_.redis.Call({"ACL", "SETUSER", choice.front(), "resetkeys", "~*", "+@all"});
  }

  void EnsureReplayerRuns(const DrainPlan& plan) {
    if (replayer_ && replayer_->Running()) return;
    if (replayer_) JudgeDrain();
    const std::string url = plan.through_proxy ? stack_.proxy->Url() : stack_.redis.Url();
    std::vector<std::string> words = {"drain",
                                      "--redis",
                                      "redis://drainer:@" + url.substr(std::string("redis://").size()),
                                      "--redis-password-file",
                                      secrets_ / "password",
                                      "--spill-dir",
                                      stack_.sidecar.spill_dir(),
                                      "--socket",
                                      stack_.sidecar.socket_path(),
                                      "--progress",
                                      "none"};
    const auto choice = static_cast<size_t>(plan.choice);
    waited_.clear();
    replayer_follows_ = false;
    const std::string& stream = streams_[choice % streams_.size()];
    const std::vector<SpillFileInfo> files = SpillFilesNow();
    switch (plan.way) {
      case DrainPlan::Way::kPlain:
        break;
      case DrainPlan::Way::kAtARate:
        words.insert(words.end(), {"--rate", std::to_string(200 + 10 * choice)});
        break;
      case DrainPlan::Way::kSomeStreams:
        words.insert(words.end(), {"--streams", stream});
        break;
      case DrainPlan::Way::kRenaming:
        words.insert(words.end(), {"--rename", stream + "=" + stream + kLedSuffix});
        disordered_ = true;
        break;
      case DrainPlan::Way::kFileAgain: {
        std::vector<std::string> drained;
        for (const SpillFileInfo& info : files) {
          if (info.state == SpillFileInfo::State::kDrained) drained.push_back(info.path.filename());
        }
        if (!drained.empty()) words.insert(words.end(), {"--file", drained[choice % drained.size()]});
        break;
      }
      case DrainPlan::Way::kFollowing:
        words.emplace_back("--follow");
        replayer_follows_ = true;
        break;
    }
    if (plan.way != DrainPlan::Way::kSomeStreams && plan.way != DrainPlan::Way::kFileAgain) {
      for (const SpillFileInfo& info : files) {
        if (info.state == SpillFileInfo::State::kSealed) waited_.insert(info.number);
      }
    }
    replayer_ = std::make_unique<Process>(
        Process::Options{.command = ReplayerCommand(words), .output = stack_.folder / "replayer", .environment = {}});
    ++drains_;
  }

  std::vector<SpillFileInfo> SpillFilesNow() const {
    return DiskFolder::OpenExisting(stack_.sidecar.spill_dir()).value().List().value();
  }

  /// A drain has ended by itself. If it says verified, then every row of every drained file is in its stream, once, and
  /// what waited when it began waits no more.
  void JudgeDrain() {
    const int exit_code = replayer_->Wait(0ms).value_or(-1);
    const std::string words = replayer_->Stderr();
    replayer_.reset();
    const bool stopped_at_once = replayer_follows_ && exit_code == 128 + SIGTERM;  // before it could listen
    Expect(stopped_at_once || exit_code == 0 || exit_code == 1 || exit_code == 3 || exit_code == 4,
           "a drain ended with " + std::to_string(exit_code) + ": " +
               words.substr(words.size() - std::min(words.size(), kMostLastWords)));
    if (exit_code != 0) return;
    ++drains_verified_;
    std::vector<harness::Event> rows;
    for (const SpillFileInfo& info : SpillFilesNow()) {
      if (info.state != SpillFileInfo::State::kDrained) {
        Expect(!waited_.contains(info.number), "a drain said verified and left " + info.path.filename().native());
        continue;
      }
      SqliteFile file = SqliteFile::Open(info).value();
      const std::vector<SpilledStream> streams = file.Streams().value();
      for (const SpilledStream& stream : streams) {
        const Status visited = file.Visit(stream, 0, 0, [&](const SpilledEvent& row) {
          harness::Event& event = rows.emplace_back();
          event.stream = stream.name;
          event.fields.assign(row.event.fields.begin(), row.event.fields.end());
          return true;
        });
        Expect(visited.ok(), visited.ok() ? "" : info.path.filename().native() + ": " + visited.error().message);
      }
    }
    RespClient redis = stack_.redis.Connect();
    const size_t wrong = Ledger::NotExactlyOnce(redis, rows, kLedSuffix);
    Expect(wrong == 0, "a drain said verified, and of " + std::to_string(rows.size()) + " drained events " +
                           std::to_string(wrong) + " are not there exactly once");
  }

  /// Redis and the network are well again; what is left is drained by a replayer that nobody kills.
  void Heal() {
    if (replayer_ && replayer_->Running())
      replayer_->Kill9();
    else if (replayer_)
      JudgeDrain();
    replayer_.reset();
    stack_.sidecar.AwaitBreaker("closed");
    DrainResult drained;
    for (int i = 0; i < 5 && (drained.exit_code != 0 || !stack_.SpillFiles().empty()); ++i) drained = stack_.Drain();
    Expect(drained.exit_code == 0 && stack_.SpillFiles().empty(),
           "the backlog does not reach zero: " + drained.err + drained.summary.dump());
    if (!disordered_) NoteTicketsNeverSent();
    Expect(stack_.Drain({"--keep", "0"}).exit_code == 0, "a drain that finds nothing to do fails");
  }

  /// Of the drained files that are still there. Where a server refuses a drain's events for a moment, those behind them
  /// that were on their way already go first; so no order is expected of such a round.
  void NoteTicketsNeverSent() {
    const auto folder = DiskFolder::OpenExisting(stack_.sidecar.spill_dir());
    const std::vector<SpillFileInfo> files = folder.value().List().value();
    for (const SpillFileInfo& info : files) {
      SqliteFile file = SqliteFile::Open(info).value();
      const std::vector<SpilledStream> streams = file.Streams().value();
      for (const SpilledStream& stream : streams) {
        const Status visited = file.Visit(stream, 0, 0, [&](const SpilledEvent& event) {
          if (!event.doubt) never_sent_.insert("0-" + std::to_string(event.ticket));
          return true;
        });
        Expect(visited.ok(), visited.ok() ? "" : info.path.filename().native() + ": " + visited.error().message);
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
    books_ = ledger_.Compare(redis, never_sent_, kLedSuffix);
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
  const std::string window_;
  std::vector<std::string> streams_;
  const TempDir secrets_;
  Stack stack_;
  Ledger ledger_;
  Ledger::Comparison books_;  // after the last round
  std::unique_ptr<Process> replayer_;
  std::map<Blow, int> struck_;
  std::set<std::string> never_sent_;  // tickets of events that were spilled at once
  bool disordered_ = false;           // in this round a drain had to leave the order, or led streams elsewhere
  std::set<int64_t> waited_;          // files that the running drain has to take
  bool replayer_follows_ = false;
  std::set<std::string> files_;  // of an idle sidecar, as is
  size_t descriptors_ = 0;
  uint64_t next_event_ = 0;
  int rounds_ = 0;
  int drains_ = 0;
  int drains_verified_ = 0;
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

int RunSets(const Settings& settings) {
  SetSoak soak(settings.seed);
  const auto enough =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(settings.minutes * 60'000));
  int rounds = 0;
  int exit_code = 0;
  try {
    while (rounds < settings.rounds || std::chrono::steady_clock::now() < enough) {
      soak.RunRound();
      std::printf("round %d: both sides are the same, and verify was right each time\n", ++rounds);
      std::fflush(stdout);
    }
  } catch (const std::exception& problem) {
    const std::string words = soak.LastWords();
    std::printf("FAILED: %s\nthe follower's last words:\n%s\n", problem.what(),
                words.substr(words.size() - std::min(words.size(), kMostLastWords)).c_str());
    exit_code = 1;
  }
  std::printf("\n| what | times |\n| --- | ---: |\n| rounds | %d |\n%s", rounds, soak.Table().c_str());
  return exit_code;
}

int Main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--seed") settings.seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--minutes") settings.minutes = std::strtod(argv[i + 1], nullptr);
    if (name == "--rounds") settings.rounds = std::atoi(argv[i + 1]);
    if (name == "--of") settings.sets = std::string_view(argv[i + 1]) == "sets";
  }
  settings.rounds = std::max(settings.rounds, 1);
  if (settings.sets) return RunSets(settings);
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
