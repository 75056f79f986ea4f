// New keys take the place of live ones: each at once, so that a reader sees the one or the other.
#pragma once

#include <string>
#include <vector>

#include "replayer/redis/client.h"
#include "replayer/redis/pipeline.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/guards.h"
#include "replayer/structure/loader.h"
#include "replayer/structure/scratch_keys.h"
#include "shared/base/result.h"

namespace sprockets {

class Swapper {
 public:
  /// `declared`: the groups of the set. `force`: entries that a live stream has taken since it was compared are lost.
  /// References outlive this.
  Swapper(RedisClient& redis, const ScratchKeys& scratch, const std::vector<ConsumerGroup>& declared, bool force)
      : redis_(redis), scratch_(scratch), declared_(declared), force_(force) {}

  /// One key after the other, whichever kind the structure is of; then what the source does not give any more goes.
  /// kRefused: a live stream was used meanwhile.
  Status Swap(const Structure& structure, const std::vector<Loader::Key>& keys, const LiveState& live);
  /// Instead of a swap: what was written beside the live keys goes; one of these that is aside still goes back.
  Status Remove(const std::vector<Loader::Key>& keys);

 private:
  Status SwapKeys(const std::vector<Loader::Key>& keys);
  Status AddExchange(Pipeline& pipeline, const Loader::Key& key) const;
  Status SwapStreams(const std::vector<Loader::Key>& keys, const LiveState& live);
  Status SwapStream(const Loader::Key& key, StreamId compared_up_to);
  Status RemoveGone(const std::vector<std::string>& gone);

  RedisClient& redis_;
  const ScratchKeys& scratch_;
  const std::vector<ConsumerGroup>& declared_;
  const bool force_;
};

}  // namespace sprockets
