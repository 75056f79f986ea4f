// Answers SPROCKETS. STATUS and SEAL need the disk, which may hang: STATUS is then answered with what was known last.
// HOLD and REFILL are answered once no kill can undo them,
// HOLD also not before nothing is on its way to Redis. Loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "shared/base/moment.h"
#include "sidecar/core/traffic.h"
#include "sidecar/delivery/delivery.h"
#include "sidecar/disk/disk.h"
#include "sidecar/disk/skip_store.h"
#include "sidecar/disk/spill_report.h"
#include "sidecar/door/admin_commands.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/relay_pool.h"

namespace sprockets {

class Admin : public AdminCommands {
 public:
  Admin(Delivery* delivery, const RelayPool* relay, Disk* disk, SkipStore* skips, const LoopClock* clock);

  // AdminCommands
  void Answer(std::span<const std::string_view> args, ReplyTo to) override;
  ServerInfo Info() const override;

  void OnDescribed(SpillReport report);
  void OnSkipsLooked();
  void OnSealed(const Sealed& sealed);
  /// Once a turn of the loop.
  void EndTurn();
  /// Ends the patience with the disk. Once a second.
  void CheckPatience();
  /// Somebody waits for an answer.
  bool is_asked() const { return !status_waiting_.empty() || !seal_waiting_.empty() || !settle_waiting_.empty(); }

 private:
  void AnswerStatus(ReplyTo to);
  void AnswerSeal(ReplyTo to);
  void AnswerHold(std::string_view seconds, ReplyTo to);
  void AnswerRefill(std::string_view stream, ReplyTo to);
  void AnswerIfLooked();
  void AnswerWaiting();

  Delivery* const delivery_;
  const RelayPool* const relay_;
  Disk* const disk_;
  SkipStore* const skips_;
  const LoopClock* const clock_;
  const WallTime started_;
  std::vector<ReplyTo> status_waiting_;
  std::optional<LoopTime> asked_;  // the disk for a report that has not come yet
  bool skips_asked_ = false;       // likewise, for what was skipped
  SpillReport report_;             // the last one
  std::optional<WallTime> described_;
  std::unordered_map<uint64_t, ReplyTo> seal_waiting_;  // by token
  uint64_t next_token_ = 1;
  std::vector<ReplyTo> settle_waiting_;
};

}  // namespace sprockets
