// The consumer groups of a live stream, for the one that takes its place: where they are, who consumes, and what they
// have not acknowledged.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/client.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/loader.h"
#include "shared/base/result.h"

namespace sprockets {

/// Copies the groups of one live stream to the new one beside it, again and again until nobody has moved meanwhile.
class StreamGroups {
 public:
  /// `declared`: the groups of the set. A group of a stream that was never used is put where they say. All outlive
  /// this.
  StreamGroups(RedisClient& redis, const std::vector<ConsumerGroup>& declared, const Loader::Key& key)
      : redis_(redis), declared_(declared), key_(key) {}

  /// The new stream has the groups of the live one, and no others.
  Status CopyAnew();

 private:
  /// How many of the new stream's entries a group has read, so that a further copy has to count only those behind.
  struct ReadUpTo {
    std::string position = "0-0";
    int64_t entries = 0;
  };
  Status RemoveCopied();
  Status Copy();
  Result<int64_t> EntriesRead(const std::string& group, const std::string& position);
  Status CopyConsumers(const std::string& group);
  Status CopyPending(const std::string& group);

  RedisClient& redis_;
  const std::vector<ConsumerGroup>& declared_;
  const Loader::Key& key_;
  std::map<std::string, ReadUpTo> read_up_to_;
};

}  // namespace sprockets
