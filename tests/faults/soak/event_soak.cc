#include "tests/faults/soak/event_soak.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite_file.h"
#include "tests/faults/soak/blows.h"
#include "tests/faults/soak/expect.h"
#include "tests/faults/soak/watch.h"
#include "tests/harness/load.h"
#include "tests/harness/process.h"
#include "tests/harness/wait.h"

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;
using soak::Event;

constexpr char kMostSpilled[] = "8MiB";  // so little that some events are refused

// From smaller than what is in flight at once to the preset.
constexpr std::array kWindows{"100000", "16", "200", "1"};
constexpr uint64_t kLeastWindowToRedeliver = 200;  // more than all clients send meanwhile

size_t DescriptorsOf(pid_t pid) {
  const std::filesystem::directory_iterator descriptors("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(descriptors), end(descriptors)));
}

}  // namespace

EventSoak::EventSoak(uint64_t seed)
    : planner_(seed),
      window_(kWindows[seed % kWindows.size()]),
      stack_(
          {.through_proxy = true,
           .redis_user = kSoaker,
           .redis_options = {"--busy-reply-threshold", "50", "--user", kSoaker, "on", std::string(">") + kSecret, "~*",
                             "&*", "+@all", "--user", "drainer", "on", std::string(">") + kSecret, "~*", "&*", "+@all"},
           .sidecar_options = {"--seal-after", "1s", "--spill-max-bytes", kMostSpilled, "--log-format", "json",
                               "--dedupe-window", window_, "--redis-password-file", PasswordFile(secrets_)}}),
      drains_(stack_, secrets_ / "password") {}

void EventSoak::RunRound() {
  if (rounds_ == 0) {
    Heal();
    files_ = Files();
    descriptors_ = DescriptorsOf(stack_.sidecar.process().pid());
  }
  const Round round = planner_.Next();
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
      if (event.drains) disordered_ |= drains_.EnsureRuns(event.drain);
      Strike(event);
      ++struck_[event.blow];
    }
    load.Stop();
  }
  Heal();
  Check();
  ++rounds_;
}

void EventSoak::ExpectEndsWell() {
  const int exit_code = stack_.sidecar.Terminate();
  Expect(exit_code == 0,
         "the sidecar ended with " + std::to_string(exit_code) + ": " + stack_.sidecar.process().Stderr());
}

void EventSoak::Strike(const soak::Event& event) {
  const auto last = [&] { std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms)); };
  RedisServer& redis = stack_.redis;
  const bool refuses =
      event.blow == Blow::kOutOfMemory || event.blow == Blow::kNotEnoughReplicas || event.blow == Blow::kBusyScript;
  if (refuses && drains_.running()) disordered_ = true;
  if (StrikeRedisOrNetwork(stack_, event)) return;
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
      disordered_ |= drains_.EnsureRuns(event.drain);
      std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms / 20));
      return drains_.Kill();
    case Blow::kStrangeReply:
      return stack_.proxy->ReplaceNextReply("$", "-ERR upstream had enough\r\n");
    case Blow::kTakeRights:
      return TakeRights(event);
    case Blow::kAwaitDrain:
      disordered_ |= drains_.EnsureRuns(event.drain);
      return drains_.Await();
    case Blow::kSeal:
      stack_.sidecar.Call({"SPROCKETS", "SEAL"});
      return;
    default:
      return;
  }
}

void EventSoak::TakeRights(const soak::Event& event) {
  const std::vector<std::vector<std::string>> choices = {{kSoaker, "-xadd"},    {kSoaker, "resetkeys", "~nothing"},
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

void EventSoak::Heal() {
  drains_.End();
  stack_.sidecar.AwaitBreaker("closed");
  DrainResult drained;
  for (int i = 0; i < 5 && (drained.exit_code != 0 || !stack_.SpillFiles().empty()); ++i) drained = stack_.Drain();
  Expect(drained.exit_code == 0 && stack_.SpillFiles().empty(),
         "the backlog does not reach zero: " + drained.err + drained.summary.dump());
  if (!disordered_) NoteTicketsNeverSent();
  Expect(stack_.Drain({"--keep", "0"}).exit_code == 0, "a drain that finds nothing to do fails");
}

void EventSoak::NoteTicketsNeverSent() {
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

std::set<std::string> EventSoak::Files() const {
  const std::filesystem::path folder = stack_.sidecar.spill_dir();
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    names.insert(entry.path().lexically_relative(folder));
  return names;
}

void EventSoak::Check() {
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
  ExpectModest(stack_);
}

std::string EventSoak::Progress() const {
  return std::to_string(books_.acknowledged) + " acknowledged so far, " + std::to_string(books_.lost) + " lost, " +
         std::to_string(books_.doubled) + " doubled";
}

std::string EventSoak::Table() const {
  std::string table;
  const auto add = [&table](std::string_view what, size_t times) {
    table.append("| ").append(what).append(" | ").append(std::to_string(times)).append(" |\n");
  };
  for (const BlowName& blow : kBlows) {
    const auto struck = struck_.find(blow.blow);
    add(blow.name, struck == struck_.end() ? 0 : static_cast<size_t>(struck->second));
  }
  add("drains that said verified, and were right", static_cast<size_t>(drains_.verified()));
  add("drains begun", static_cast<size_t>(drains_.begun()));
  add("events acknowledged", books_.acknowledged);
  add("lost", books_.lost);
  add("doubled", books_.doubled);
  add("refused, given up, and not stored", books_.refused);
  add("neighbours whose order was compared", books_.in_order);
  return table;
}

std::string EventSoak::LastWords() {
  return LastWordsOf(stack_);
}

}  // namespace sprockets::soak
