#include "tests/faults/soak/ahead_soak.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <sstream>
#include <string_view>
#include <sys/resource.h>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

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

constexpr int kRoundsOfAStage = 4;

std::string_view NameOf(Blow blow) {
  return std::find_if(kAheadBlows.begin(), kAheadBlows.end(), [&](const BlowName& each) { return each.blow == blow; })
      ->name;
}

Stack::Options StackOptions(bool redis_forgets, const TempDir& secrets) {
  Stack::Options options;
  options.through_proxy = true;
  options.redis_user = kSoaker;
  options.redis_options = {"--busy-reply-threshold",   "50", "--user", kSoaker, "on",
                           std::string(">") + kSecret, "~*", "&*",     "+@all"};
  options.sidecar_options = {
      "--ack", "disk", "--log-format", "json", "--redis-password-file", PasswordFile(secrets), "--spill-file-bytes",
      "1MiB"};
  const std::vector<std::string> forgetful = {"--appendonly", "no"};
  const std::vector<std::string> brief = {"--retain", "1s", "--spill-max-bytes", "8MiB"};
  if (redis_forgets)
    options.redis_options.insert(options.redis_options.end(), forgetful.begin(), forgetful.end());
  else
    options.sidecar_options.insert(options.sidecar_options.end(), brief.begin(), brief.end());
  return options;
}

std::map<std::string, std::vector<std::string>> XaddOptions() {
  std::map<std::string, std::vector<std::string>> options;
  for (const auto& [stream, use] : StreamUses()) {
    if (!use.xadd_options.empty()) options[stream] = use.xadd_options;
  }
  return options;
}

// What is worth a line, and adds up over stages.
std::map<std::string, size_t> Counted(const AheadComparison& books) {
  return {{"events acknowledged", books.acknowledged},
          {"entries in the streams at the end", books.stored},
          {"lost", books.lost},
          {"doubled", books.doubled},
          {"missing because of MAXLEN or an operator", books.removed},
          {"under another id, because of another writer", books.moved},
          {"missing or doubled, and told as unproven", books.excused},
          {"refused, given up, and not stored", books.refused},
          {"entries whose order was compared", books.in_order}};
}

}  // namespace

AheadSoak::Stage::Stage(bool redis_forgets) : stack(StackOptions(redis_forgets, secrets)) {}

AheadSoak::AheadSoak(uint64_t seed) : planner_(seed, kAheadBlows), redis_forgets_(seed % 2 == 1) {}

void AheadSoak::RunRound() {
  if (rounds_++ % kRoundsOfAStage == 0) {
    for (const auto& [what, times] : Counted(books_)) before_[what] += times;
    books_ = {};
    stage_.reset();
    stage_ = std::make_unique<Stage>(redis_forgets_);
    redis_forgets_ = !redis_forgets_;
  }
  const Round round = planner_.Next();
  {
    const SecondWriter second(stage_->stack.redis);
    Load load(stage_->stack.sidecar.socket_path(), stage_->ledger,
              {.clients = 4,
               .pause = 4ms,
               .first_event = next_event_,
               .impatient = 2,
               .redelivers = true,
               .limit = 60s,
               .xadd_options = XaddOptions()});
    next_event_ += 100'000'000;
    for (const soak::Event& event : round) {
      std::this_thread::sleep_for(std::chrono::milliseconds(event.wait_ms));
      Strike(event);
      ++struck_[NameOf(event.blow)];
    }
    load.Stop();
  }
  AwaitLanded();
  Check();
}

void AheadSoak::Strike(const soak::Event& event) {
  Stack& stack = stage_->stack;
  if (StrikeRedisOrNetwork(stack, event)) return;
  switch (event.blow) {
    case Blow::kKillRedis:
      stack.redis.Kill9();
      std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms));
      return stack.redis.Start();
    case Blow::kSave:
      stack.redis.Call({"SAVE"});
      return;
    case Blow::kKillSidecar:
      stack.sidecar.Kill9();
      return stack.sidecar.Start();
    case Blow::kTerminateSidecar: {
      const int exit_code = stack.sidecar.Terminate();
      Expect(exit_code == 0, "the sidecar ended with " + std::to_string(exit_code));
      return stack.sidecar.Start();
    }
    case Blow::kStrangeReply:
      return stack.proxy->ReplaceNextReply("*", "-ERR upstream had enough\r\n");
    case Blow::kTakeRights:
      return TakeRights(event);
    case Blow::kSmallFiles:
      return LimitFiles(event.lasts_ms);
    case Blow::kRemove:
      return stage_->hands.Remove(stack.redis, event.drain.choice);
    case Blow::kRefill:
      for (const auto& [stream, use] : StreamUses()) {
        if (use.is_deleted) stack.sidecar.Call({"SPROCKETS", "REFILL", stream});
      }
      return;
    case Blow::kHold:
      stack.sidecar.Call({"SPROCKETS", "HOLD", "60"});
      std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms));
      stack.sidecar.Call({"SPROCKETS", "HOLD", "0"});
      return;
    case Blow::kSeal:
      stack.sidecar.Call({"SPROCKETS", "SEAL"});
      return;
    default:
      return;
  }
}

void AheadSoak::TakeRights(const soak::Event& event) {
  const std::vector<std::vector<std::string>> choices = {
      {"-xadd"}, {"-xinfo"}, {"-xrange"}, {"-info"}, {"resetkeys", "~nothing"}, {"resetkeys", "~sprockets:guard"}};
  Command take{"ACL", "SETUSER", kSoaker};
  const auto& choice = choices[static_cast<size_t>(event.drain.choice) % choices.size()];
  take.insert(take.end(), choice.begin(), choice.end());
  const RedisServer& redis = stage_->stack.redis;
  redis.Call(take);
  std::this_thread::sleep_for(std::chrono::milliseconds(event.lasts_ms));
  redis.Call({"ACL", "SETUSER", kSoaker, "resetkeys", "~*", "+@all"});
}

// Its log is a file, too, and goes on for a while.
void AheadSoak::LimitFiles(int lasts_ms) {
  constexpr rlim_t kLogBytes = 32 << 10;
  Process& sidecar = stage_->stack.sidecar.process();
  const rlimit small{sidecar.Stderr().size() + kLogBytes, RLIM_INFINITY};
  prlimit(sidecar.pid(), RLIMIT_FSIZE, &small, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(lasts_ms));
  const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
  prlimit(sidecar.pid(), RLIMIT_FSIZE, &large, nullptr);
}

void AheadSoak::AwaitLanded() {
  Await("the journals to land", [this] {
    const nlohmann::json status = stage_->stack.sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
}

std::map<std::string, Decided> AheadSoak::WhatWasDecided() {
  std::map<std::string, Decided> decided;
  std::istringstream log(stage_->stack.sidecar.process().Stderr());
  for (std::string line; std::getline(log, line);) {
    const nlohmann::json words = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!words.is_object() || words.value("event", "") != "entries-not-in-place") continue;
    Decided& of_stream = decided[words.at("stream")];
    of_stream.overtaken += words.at("overtaken").get<size_t>();
    of_stream.without_proof += words.at("unproven").get<size_t>() + words.at("reported").get<size_t>();
  }
  return decided;
}

void AheadSoak::Check() {
  const std::map<std::string, Decided> decided = WhatWasDecided();
  for (const auto& [stream, counts] : decided)
    Expect(StreamUses().at(stream).others_write, "something was decided about " + stream + ", which is ours alone");
  RespClient redis = stage_->stack.redis.Connect();
  books_ = CompareAhead(stage_->ledger, redis, stage_->hands.removed(), decided);
  Expect(books_.difference_count == 0, "the books differ: " + books_.ToString());
  const nlohmann::json counters = stage_->stack.sidecar.Status().at("counters");
  Expect(counters.at("rejected") == 0, "events were rejected");
  ExpectModest(stage_->stack);
}

std::string AheadSoak::Progress() const {
  return std::to_string(books_.acknowledged) + " acknowledged on this stage, " + std::to_string(books_.lost) +
         " lost, " + std::to_string(books_.doubled) + " doubled";
}

std::string AheadSoak::Table() const {
  std::string table;
  const auto add = [&table](std::string_view what, size_t times) {
    table.append("| ").append(what).append(" | ").append(std::to_string(times)).append(" |\n");
  };
  for (const auto& [name, times] : struck_) add(name, static_cast<size_t>(times));
  for (const auto& [what, times] : Counted(books_)) {
    const auto earlier = before_.find(what);
    add(what, times + (earlier == before_.end() ? 0 : earlier->second));
  }
  return table;
}

std::string AheadSoak::LastWords() {
  return LastWordsOf(stage_->stack);
}

}  // namespace sprockets::soak
