// What becomes of an event once a door has taken it. There are two ways, and --ack chooses one of them: to Redis, and
// to disk only while Redis fails (redis_first.h); or always to disk first, and from there to Redis (disk_first.h). Loop
// thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "shared/base/moment.h"
#include "shared/base/result.h"
#include "shared/redis/event.h"
#include "sidecar/core/traffic.h"
#include "sidecar/core/window.h"
#include "sidecar/delivery/facts.h"
#include "sidecar/delivery/probes.h"
#include "sidecar/disk/spill_store.h"

namespace sprockets {

class Delivery {
 public:
  virtual ~Delivery() = default;

  /// Where a door brings events.
  virtual EventSink& events() = 0;
  virtual const IdentityHasher& hasher() const = 0;
  /// `on_unusable`: the server can never be used, and why. `on_lost`: a connection that stood has gone.
  virtual void Start(std::function<void(const std::string&)> on_unusable, std::function<void()> on_lost) = 0;
  /// Once a turn, before the loop sleeps.
  virtual void EndTurn() = 0;
  virtual void EverySecond() = 0;

  // What the disk has done.
  virtual void OnEarlierEvents(const EarlierEvents& events, bool complete) = 0;
  virtual void OnSpillOutcome(SpillOutcome outcome) = 0;
  virtual void OnRecorded(const Recorded& recorded) = 0;
  virtual void OnSealed(const Sealed& sealed) = 0;
  virtual void OnJournalBlocked(const JournalBlocked& blocked) = 0;
  virtual void OnLandedNoted(const LandedNoted& noted) = 0;

  /// Nothing new is sent to Redis for so long; 0: it goes on. Error: there is nothing that could be sent later.
  virtual Status Hold(int64_t for_ms) = 0;
  /// Redis gets again what it does not have of the stream. Error: it is in no journal.
  virtual Status Refill(std::string_view stream) = 0;
  /// A hold has not begun, as something is still on its way to Redis; or a kill would undo it, or a Refill.
  virtual bool settles() const = 0;

  /// Nothing is taken any more; what is unanswered is resolved or stored.
  virtual void Stop() = 0;
  virtual size_t unanswered() const = 0;
  /// Every event that was sent has had its answer.
  virtual bool nothing_in_flight() const = 0;
  /// Since when Redis takes what waits in sealed files, on the loop's clock; 0: it does not, or needs nobody to bring
  /// it.
  virtual int64_t healthy_since_ms() const = 0;
  /// Where the connection to Redis is, numeric or a socket's path; empty: there is none.
  virtual const std::string& address() const = 0;
  virtual DeliveryFacts Facts(WallTime now) const = 0;
  virtual DeliveryProbes Probes() const = 0;
  /// The answers of this turn have left: their latencies are taken.
  virtual void MeasureAnswers() = 0;
  virtual void LogStopped() const = 0;
};

}  // namespace sprockets
