// --ack redis: events go to Redis, and to disk only while Redis fails; a drain brings those back. Loop thread only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shared/redis/connection_id.h"
#include "sidecar/core/router.h"
#include "sidecar/delivery/degradation_log.h"
#include "sidecar/delivery/delivery.h"
#include "sidecar/disk/disk.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/upstream.h"

namespace sprockets {

class RedisFirst : public Delivery {
 public:
  /// `earlier` and `earlier_lost` as Upstream takes them.
  RedisFirst(uv_loop_t* loop, const LoopClock* clock, Upstream::Options redis, std::vector<ConnectionId> earlier,
             bool earlier_lost, const RouterOptions& options, Disk* disk);

  // Delivery
  EventSink& events() override { return router_; }
  const IdentityHasher& hasher() const override { return router_.hasher(); }
  void Start(std::function<void(const std::string&)> on_unusable, std::function<void()> on_lost) override;
  void EndTurn() override { redis_.Flush(); }
  void EverySecond() override { log_.EverySecond(router_, disk_->active_rows()); }
  void OnEarlierEvents(const EarlierEvents& events, bool complete) override {
    router_.OnEarlierEvents(events, complete);
  }
  void OnSpillOutcome(SpillOutcome outcome) override { router_.OnSpillOutcome(std::move(outcome)); }
  void OnRecorded(const Recorded& recorded) override { redis_.OnRecorded(recorded); }
  void OnSealed(const Sealed&) override {}
  void OnJournalBlocked(const JournalBlocked&) override {}
  void OnLandedNoted(const LandedNoted&) override {}
  Status Hold(int64_t) override { return NoJournal(); }
  Status Refill(std::string_view) override { return NoJournal(); }
  bool settles() const override { return false; }
  void Stop() override;
  size_t unanswered() const override { return router_.events_unanswered(); }
  bool nothing_in_flight() const override { return router_.events_in_flight() == 0; }
  int64_t healthy_since_ms() const override { return redis_.healthy_since_ms(); }
  const std::string& address() const override { return redis_.link().address(); }
  DeliveryFacts Facts(WallTime now) const override;
  DeliveryProbes Probes() const override;
  void MeasureAnswers() override;
  void LogStopped() const override;

 private:
  static Status NoJournal() {
    return Error{ErrorCode::kRefused, "this sidecar has no journal: it runs with --ack redis"};
  }

  Disk* const disk_;
  DegradationLog log_;
  Upstream redis_;
  Router router_;
};

}  // namespace sprockets
