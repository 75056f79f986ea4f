// The questions that settling asks Redis: what a stream is like, and which of the events in doubt it holds. Errors of
// Redis come back by what they mean: kUnreachable the connection broke, kBusy the server refuses for now, kRefused this
// stream is refused.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "replayer/redis/client.h"
#include "shared/base/result.h"
#include "shared/redis/settle.h"

namespace sprockets {

/// An error reply as an Error with one of the codes above.
Error RefusalOf(std::string_view command, std::string_view text);

/// XINFO STREAM. A key that does not exist is a stream at its very beginning. Where XINFO is not allowed, the facts are
/// not complete, and the last id is the last entry's, by XREVRANGE; where that is not allowed either, it is not known.
Result<StreamFacts> ReadStreamFacts(RedisClient& client, std::string_view stream);

/// How a search knows an event: by the file's event id field, under the name of the stream that it was spilled for
/// (with --rename, another one than the stream that is searched).
struct EntryReader {
  const IdentityHasher& hasher;
  std::string_view identity_stream;
  std::string_view event_id_field;
};

/// Ticks off `wanted` whatever lies in `stream` with an id above wanted.begin(), up to `bound`, in pages bounded by
/// bytes, until all are found. `on_page` is called after each page: a search may take long.
Status SearchStream(RedisClient& client, std::string_view stream, StreamId bound, const EntryReader& reader,
                    Settlement& wanted, const std::function<void()>& on_page);

}  // namespace sprockets
