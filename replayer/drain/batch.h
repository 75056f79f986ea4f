// Rows of one stream of a spill file on their way to Redis: their commands, ready to be sent, and what is known of
// each. Pure but for the reading of the file. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/event.h"
#include "shared/spill/spilled.h"

namespace sprockets {

class SpillFile;

struct BatchRow {
  enum class State {
    kNeverSent,  // to be sent, without a search
    kInDoubt,    // may be in the stream: to be settled
    kAbsent,     // settled, not in the stream: to be sent
    kTwin,       // settled, not in the stream, but the same event stands before it in this batch
    kPresent,    // in the stream
    kSetAside,   // rejected, or not to be sent because its absence is unproven
  };

  int64_t ticket = 0;
  State state = State::kNeverSent;
  bool unproven = false;                   // it was not found, but that is no proof
  bool broke_alone = false;                // the other side closed the connection with nothing but this row in flight
  std::unique_ptr<const Doubt> own_doubt;  // the sidecar was in doubt about it
  size_t begin = 0;                        // of its command in Batch::commands
  size_t end = 0;
  uint32_t fields_at = 0;    // which of the command's words is the first field
  uint32_t event_id_at = 0;  // which of the fields is the event id's value

  bool wants_sending() const { return state == State::kNeverSent || state == State::kAbsent; }
};

struct Batch {
  // Two batches are in memory, and each costs a commit: long enough that a slow disk does not slow the drain.
  static constexpr size_t kMostRows = 16 * 1024;
  static constexpr size_t kMostBytes = 3 * 1024 * 1024;

  std::vector<BatchRow> rows;
  std::string commands;

  int64_t last_ticket() const { return rows.back().ticket; }
  std::string_view CommandOf(const BatchRow& row) const {
    return std::string_view(commands).substr(row.begin, row.end - row.begin);
  }
  std::string_view EventIdOf(const BatchRow& row) const;
  /// Made only for rows that are settled: hashing costs half as much as reading.
  EventIdentity IdentityOf(const BatchRow& row, std::string_view stream, const IdentityHasher& hasher) const;
  /// Puts every row in doubt that is not known to be there: after a break with the batch in flight, for one.
  void DoubtAll();
  bool AllNeverSent() const;
  /// Adds the rows of the batch behind this one.
  void Append(Batch next);
};

/// Which rows a batch takes: those above `after`; up to ticket `up_to` all of them, with `up_to` 0 as many as a batch
/// takes but not more than `most_rows`.
struct BatchRange {
  int64_t after = 0;
  int64_t up_to = 0;
  size_t most_rows = Batch::kMostRows;
};

/// Reads them as XADDs to `target`. `on_row` is called after each. `spare`: a batch that is done with, whose memory is
/// used again.
Result<Batch> ReadBatch(SpillFile& file, const SpilledStream& stream, std::string_view target, const BatchRange& range,
                        const std::function<void()>& on_row, Batch spare = {});

}  // namespace sprockets
