#include "sidecar/admin/reporter.h"

#include <algorithm>
#include <utility>

#include "shared/base/clock.h"

namespace sprockets {

namespace {

constexpr int64_t kAskEveryMs = 1'000;
constexpr int64_t kAskShare = 20;      // a folder of very many files is looked at for one part in so many of the time,
constexpr int64_t kMostAskMs = 3'000;  // unless that would be too seldom for kDiskPatienceMs

}  // namespace

Reporter::Reporter(Setup setup, Sources sources)
    : setup_(std::move(setup)), sources_(sources), started_(sources.clock->Wall()) {}

void Reporter::AskDisk() {
  if (asked_ || sources_.clock->Now().ms < ask_again_ms_) return;
  asked_ = sources_.clock->Now();
  sources_.disk->DescribeAndProve();
}

void Reporter::OnDescribed(SpillReport report) {
  described_ = sources_.clock->Now();
  const int64_t took_ms = asked_ ? described_->ms - asked_->ms : 0;
  asked_.reset();
  ask_again_ms_ = described_->ms + std::clamp(took_ms * kAskShare, kAskEveryMs / 2, kMostAskMs);
  spill_ = std::move(report);
}

void Reporter::EverySecond() {
  AskDisk();
  auto publication = std::make_shared<Publication>();
  Snapshot& now = publication->snapshot;
  const LoopTime loop_now = sources_.clock->Now();
  now.setup = setup_;
  now.now = {WallClockMs()};  // the loop's stood still since the turn before
  now.started = started_;
  now.steady_ms = SteadyClockMs();
  now.delivery = sources_.delivery->Facts(now.now);
  now.probes = sources_.delivery->Probes();
  if (now.probes.answered_ms) now.redis_silent_ms = std::max<int64_t>(0, loop_now.ms - *now.probes.answered_ms);
  now.relay = {sources_.relay->lines(), sources_.relay->commands()};
  now.skipped_writes = sources_.skips->skipped();
  now.skipped_keys = sources_.skips->list().size() + sources_.skips->listed_since();
  now.clients = sources_.clients->size();
  now.paused_clients = sources_.clients->paused();
  now.spill = spill_;
  if (described_) now.spill_age_ms = std::max<int64_t>(0, loop_now.ms - described_->ms);
  chronicle_.Observe(now);
  publication->history = chronicle_.history();
  publication->notes = chronicle_.notes();
  publisher_.Publish(std::move(publication));
}

}  // namespace sprockets
