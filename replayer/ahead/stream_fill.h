// One stream, filled from the journals that hold its rows. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "replayer/ahead/from_journal.h"
#include "replayer/redis/client.h"
#include "shared/ahead/entry_id.h"
#include "shared/ahead/journal.h"
#include "shared/ahead/row_supply.h"
#include "shared/base/result.h"
#include "shared/journal/journal_pages.h"

namespace sprockets {

class StreamFill {
 public:
  struct Source {
    JournalPages& pages;
    StreamId committed;              // the highest id of the stream
    const MovedRows& current;        // of all events that were moved
    std::span<const EntryTag> tags;  // of all ids in the journals
  };
  /// All must outlive it.
  StreamFill(const FromJournalOptions& options, Source source, RedisClient& redis, FilledStream* filled)
      : options_(options), source_(source), redis_(redis), filled_(*filled) {}

  /// What concerns this stream alone is no error: FilledStream says it. `on_rows` is called as it goes on, and may end
  /// it.
  Status Run(const std::function<Status()>& on_rows);

 private:
  using Rows = std::span<const JournalRow>;

  Status ReadTop();
  Status ReadPage();
  Status LookUp(Rows rows);
  Status Add(Rows rows);
  Result<bool> AddOnce(Rows rows);
  Status TakeResults(Rows rows, const RedisClient::Reply& exec);
  void Miss(const JournalRow& row);

  const FromJournalOptions& options_;
  const Source source_;
  RedisClient& redis_;
  FilledStream& filled_;
  StreamId top_;                     // of the stream, as it was at the beginning
  bool top_is_ours_ = true;          // then every row below it was there
  std::optional<JournalPage> page_;  // the next one
  StreamId read_to_;
  bool more_ = false;  // rows behind it, perhaps
};

}  // namespace sprockets
