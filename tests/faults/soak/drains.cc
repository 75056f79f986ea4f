#include "tests/faults/soak/drains.h"

#include <chrono>
#include <csignal>
#include <utility>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite_file.h"
#include "tests/faults/soak/expect.h"
#include "tests/harness/ledger.h"
#include "tests/harness/sample_events.h"

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;

constexpr auto kDrainLimit = 10s;
constexpr int kMostSampleEvents = 100;  // until every stream has been named

}  // namespace

Drains::Drains(Stack& stack, std::filesystem::path password_file)
    : stack_(stack), password_file_(std::move(password_file)) {
  std::set<std::string> streams;
  for (uint64_t n = 0; n < kMostSampleEvents; ++n) streams.insert(SampleEvent(n).stream);
  streams_.assign(streams.begin(), streams.end());
}

bool Drains::EnsureRuns(const DrainPlan& plan) {
  if (running()) return false;
  if (replayer_) Judge();
  const std::string url = plan.through_proxy ? stack_.proxy->Url() : stack_.redis.Url();
  std::vector<std::string> words = {"drain",
                                    "--redis",
                                    "redis://drainer:@" + url.substr(std::string("redis://").size()),
                                    "--redis-password-file",
                                    password_file_,
                                    "--spill-dir",
                                    stack_.sidecar.spill_dir(),
                                    "--socket",
                                    stack_.sidecar.socket_path(),
                                    "--progress",
                                    "none"};
  const auto choice = static_cast<size_t>(plan.choice);
  waited_.clear();
  follows_ = false;
  const std::string& stream = streams_[choice % streams_.size()];
  const std::vector<SpillFileInfo> files = Files();
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
      follows_ = true;
      break;
  }
  if (plan.way != DrainPlan::Way::kSomeStreams && plan.way != DrainPlan::Way::kFileAgain) {
    for (const SpillFileInfo& info : files) {
      if (info.state == SpillFileInfo::State::kSealed) waited_.insert(info.number);
    }
  }
  replayer_ = std::make_unique<Process>(
      Process::Options{.command = ReplayerCommand(words), .output = stack_.folder / "replayer", .environment = {}});
  ++begun_;
  return plan.way == DrainPlan::Way::kRenaming;
}

void Drains::Await() {
  if (follows_) replayer_->Signal(SIGTERM);
  if (replayer_->Wait(kDrainLimit)) return Judge();
  Kill();
}

void Drains::End() {
  if (replayer_ && !running()) Judge();
  Kill();
}

std::vector<SpillFileInfo> Drains::Files() const {
  return DiskFolder::OpenExisting(stack_.sidecar.spill_dir()).value().List().value();
}

void Drains::Judge() {
  const int exit_code = replayer_->Wait(0ms).value_or(-1);
  const std::string words = replayer_->Stderr();
  replayer_.reset();
  const bool stopped_at_once = follows_ && exit_code == 128 + SIGTERM;  // before it could listen
  Expect(stopped_at_once || exit_code == 0 || exit_code == 1 || exit_code == 3 || exit_code == 4,
         "a drain ended with " + std::to_string(exit_code) + ": " + LastOf(words));
  if (exit_code != 0) return;
  ++verified_;
  std::vector<harness::Event> rows;
  for (const SpillFileInfo& info : Files()) {
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

}  // namespace sprockets::soak
