// Takes the sidecar's figures once a second, and has the disk prove now and then that it still works, for whoever reads
// the admin HTTP. What it publishes is a copy, so nobody who reads it can delay the loop. Loop thread only.
#pragma once

#include <cstdint>
#include <optional>

#include "shared/http/published.h"
#include "sidecar/admin/chronicle.h"
#include "sidecar/admin/snapshot.h"
#include "sidecar/delivery/delivery.h"
#include "sidecar/disk/disk.h"
#include "sidecar/disk/skip_store.h"
#include "sidecar/door/clients.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/relay_pool.h"

namespace sprockets {

class Reporter {
 public:
  /// What it asks; all of it outlives the reporter.
  struct Sources {
    const Delivery* delivery;
    const RelayPool* relay;
    Disk* disk;
    const SkipStore* skips;
    const Clients* clients;
    const LoopClock* clock;
  };
  Reporter(Setup setup, Sources sources);

  void EverySecond();
  /// The answer to Disk::DescribeAndProve.
  void OnDescribed(SpillReport report);
  const Published<Publication>& publisher() const { return publisher_; }

 private:
  void AskDisk();

  const Setup setup_;
  const Sources sources_;
  const WallTime started_;
  Published<Publication> publisher_;
  Chronicle chronicle_;
  SpillReport spill_;
  std::optional<LoopTime> asked_;      // the disk, which has not answered yet
  std::optional<LoopTime> described_;  // when it last answered
  int64_t ask_again_ms_ = 0;           // not before
};

}  // namespace sprockets
