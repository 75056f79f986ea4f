// A consumer group as one consumer of it reads it: what is new, what it has not acknowledged, what others have left.
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/archive/entry_rows.h"
#include "replayer/redis/client.h"
#include "shared/base/result.h"

namespace sprockets {

/// Sends one command and waits for its reply, which may be an error reply.
Result<RedisClient::Reply> CallWords(RedisClient& redis, std::span<const std::string_view> words);

/// Looks at each entry's fields when it is read, and may mark it.
using LookAtEntry =
    std::function<void(std::string_view stream, std::span<const std::string_view> fields, ArchiveEntry&)>;

/// Redis's list of entries, [[id, [name, value, …]], …], behind those that `batch` has. Those without fields were
/// deleted. `look` may be none.
Status AppendEntries(const redisReply& list, std::string_view event_id_field, int64_t now_ms, const LookAtEntry& look,
                     EntryBatch* batch);

class GroupReader {
 public:
  struct Names {
    std::string group;
    std::string consumer;
    std::string event_id_field;
  };
  GroupReader(Names names, LookAtEntry look) : names_(std::move(names)), look_(std::move(look)) {}

  // Errors: kNotFound where a stream or its group is not there (NOGROUP), kUnreachable; else as RefuseError says.

  /// Up to `count` entries of each stream that nobody has read yet, one batch for each stream that has some. Waits up
  /// to `block_ms` where there are none; 0: does not wait. `bytes`: how large they are all together.
  Result<std::vector<EntryBatch>> ReadNew(RedisClient& redis, std::span<const std::string> streams, int64_t count,
                                          int64_t block_ms, size_t* bytes);
  /// Entries above `after` that this consumer has not acknowledged. Those that are in the stream no more are `deleted`.
  Result<EntryBatch> ReadPending(RedisClient& redis, const std::string& stream, StreamId after, int64_t count);

  struct Claimed {
    EntryBatch batch;
    std::string cursor;  // where to go on; "0-0": all were looked at
  };
  /// Takes over entries that nobody has acknowledged for `idle_ms`.
  Result<Claimed> Claim(RedisClient& redis, const std::string& stream, int64_t idle_ms, const std::string& cursor,
                        int64_t count);

  struct Pending {
    uint64_t all = 0;
    uint64_t own = 0;
  };
  Result<Pending> CountPending(RedisClient& redis, const std::string& stream);

  /// Entries of this consumer that have been pending for `idle_ms` begin to count anew, so that nobody claims them.
  Status KeepOwn(RedisClient& redis, const std::string& stream, int64_t idle_ms);

  /// Acknowledges every entry of a batch, and those that were deleted.
  Status Acknowledge(RedisClient& redis, const EntryBatch& batch);

 private:
  Status TakeEntries(const redisReply& list, EntryBatch* batch) const;

  const Names names_;
  const LookAtEntry look_;
};

}  // namespace sprockets
