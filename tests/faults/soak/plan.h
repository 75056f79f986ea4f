// What goes wrong in a soak, and when: drawn from a seed before anything happens, so that the same seed is the same
// plan. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

namespace sprockets::soak {

enum class Blow {
  kKillRedis,
  kKillSidecar,
  kTerminateSidecar,
  kKillReplayer,
  kHangRedis,  // SIGSTOP for longer than the deadline
  kOutOfMemory,
  kNotEnoughReplicas,
  kBusyScript,
  kPauseWrites,  // CLIENT PAUSE
  kDropClients,  // CLIENT KILL TYPE normal
  kCutNetwork,
  kCutAtByte,  // in the middle of a command or a reply
  kHoldBytes,  // an old connection's bytes arrive after the sidecar has given it up
  kRefuseConnections,
  kDelayReplies,
  kStrangeReply,    // an error that Redis does not know
  kRotatePassword,  // the sidecar's, for a while
  kTakeRights,      // XADD or keys of the sidecar's user, or what the drain's user may ask
  kAwaitDrain,      // nobody kills it
  kSeal,
  kSave,        // --ack disk: what Redis falls back to when it is killed
  kSmallFiles,  // the sidecar's may not grow
  kRemove,      // an operator trims, deletes entries, deletes a stream
  kRefill,      // and wants a stream back
  kHold,        // the sidecar keeps still
};

struct BlowName {
  Blow blow;
  std::string_view name;
};
inline constexpr std::array kBlows{
    BlowName{Blow::kKillRedis, "redis: kill -9"},
    BlowName{Blow::kKillSidecar, "sidecar: kill -9"},
    BlowName{Blow::kTerminateSidecar, "sidecar: SIGTERM"},
    BlowName{Blow::kKillReplayer, "replayer: kill -9"},
    BlowName{Blow::kHangRedis, "redis: SIGSTOP"},
    BlowName{Blow::kOutOfMemory, "redis: OOM"},
    BlowName{Blow::kNotEnoughReplicas, "redis: NOREPLICAS"},
    BlowName{Blow::kBusyScript, "redis: BUSY"},
    BlowName{Blow::kPauseWrites, "redis: CLIENT PAUSE"},
    BlowName{Blow::kDropClients, "redis: CLIENT KILL TYPE"},
    BlowName{Blow::kCutNetwork, "network: reset"},
    BlowName{Blow::kCutAtByte, "network: cut at a byte"},
    BlowName{Blow::kHoldBytes, "network: bytes held, released later"},
    BlowName{Blow::kRefuseConnections, "network: refused"},
    BlowName{Blow::kDelayReplies, "network: slow"},
    BlowName{Blow::kStrangeReply, "network: strange error"},
    BlowName{Blow::kRotatePassword, "redis: another password"},
    BlowName{Blow::kTakeRights, "redis: rights taken"},
    BlowName{Blow::kAwaitDrain, "replayer: awaited"},
    BlowName{Blow::kSeal, "seal"},
};
/// With `--ack disk`, where nobody drains.
inline constexpr std::array kAheadBlows{
    BlowName{Blow::kKillRedis, "redis: kill -9"},
    BlowName{Blow::kKillRedis, "redis: kill -9"},
    BlowName{Blow::kSave, "redis: SAVE"},
    BlowName{Blow::kKillSidecar, "sidecar: kill -9"},
    BlowName{Blow::kTerminateSidecar, "sidecar: SIGTERM"},
    BlowName{Blow::kHangRedis, "redis: SIGSTOP"},
    BlowName{Blow::kOutOfMemory, "redis: OOM"},
    BlowName{Blow::kNotEnoughReplicas, "redis: NOREPLICAS"},
    BlowName{Blow::kBusyScript, "redis: BUSY"},
    BlowName{Blow::kPauseWrites, "redis: CLIENT PAUSE"},
    BlowName{Blow::kDropClients, "redis: CLIENT KILL TYPE"},
    BlowName{Blow::kCutNetwork, "network: reset"},
    BlowName{Blow::kCutAtByte, "network: cut at a byte"},
    BlowName{Blow::kHoldBytes, "network: bytes held, released later"},
    BlowName{Blow::kRefuseConnections, "network: refused"},
    BlowName{Blow::kDelayReplies, "network: slow"},
    BlowName{Blow::kStrangeReply, "network: strange error"},
    BlowName{Blow::kRotatePassword, "redis: another password"},
    BlowName{Blow::kTakeRights, "redis: rights taken"},
    BlowName{Blow::kSmallFiles, "disk: files may not grow"},
    BlowName{Blow::kRemove, "an operator trims or deletes"},
    BlowName{Blow::kRemove, "an operator trims or deletes"},
    BlowName{Blow::kRefill, "SPROCKETS REFILL"},
    BlowName{Blow::kHold, "SPROCKETS HOLD"},
    BlowName{Blow::kSeal, "seal"},
};

/// How a replayer drains.
struct DrainPlan {
  enum class Way { kPlain, kAtARate, kSomeStreams, kRenaming, kFileAgain, kFollowing };
  Way way = Way::kPlain;
  bool through_proxy = false;
  int choice = 0;  // of a stream, or a file
};

struct Event {
  Blow blow = Blow::kSeal;
  int wait_ms = 0;      // before it
  int lasts_ms = 0;     // of what is mended afterwards
  int bytes = 0;        // until a cut; an odd number counts the replies
  bool drains = false;  // a replayer is started before it
  DrainPlan drain;
};

/// One round: some blows, after which everything is healed, drained and compared. State goes on into the next round.
using Round = std::vector<Event>;

class Planner {
 public:
  /// `blows` must outlive it.
  explicit Planner(uint64_t seed, std::span<const BlowName> blows = kBlows) : random_(seed), blows_(blows) {}

  Round Next() {
    Round round(static_cast<size_t>(Between(8, 16)));
    for (Event& event : round) {
      event.blow = blows_[static_cast<size_t>(Between(0, static_cast<int>(blows_.size()) - 1))].blow;
      event.wait_ms = Between(0, 150);
      event.lasts_ms = Between(20, 600);
      event.bytes = Between(0, 3000);
      event.drains = Between(1, 3) == 1;
      event.drain.way = static_cast<DrainPlan::Way>(Between(0, static_cast<int>(DrainPlan::Way::kFollowing)));
      event.drain.through_proxy = Between(0, 1) == 1;
      event.drain.choice = Between(0, 1000);
    }
    return round;
  }

 private:
  // The standard's distributions differ between libraries; a plan must not.
  int Between(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<uint64_t>(most - least + 1));
  }

  std::mt19937_64 random_;
  std::span<const BlowName> blows_;
};

}  // namespace sprockets::soak
