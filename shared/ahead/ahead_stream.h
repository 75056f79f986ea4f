// What is known of one stream with `--ack disk`. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "shared/ahead/placing.h"
#include "shared/ahead/row_supply.h"
#include "shared/base/backoff.h"
#include "shared/base/moment.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

struct AheadStream {
  /// `committed`: the highest id that the journal holds of it.
  AheadStream(std::string its_name, StreamId committed)
      : name(std::move(its_name)), committed_before(committed), assigned(committed), rows(committed) {}

  const std::string name;
  const StreamId committed_before;  // the highest id of earlier lives
  StreamId assigned;                // the highest id that was ever given
  StreamId top;                     // the highest last-generated-id that was ever seen
  StreamId landed;  // every current row at or below it has landed, or is settled otherwise, in landed_in
  Incarnation landed_in;
  StreamId landed_before;  // the same, in whatever incarnation
  RowSupply rows;
  bool in_use = true;  // false: only a mark tells of it, no journal and no event of this life

  enum class State {
    kUnplaced,  // nobody has asked on this connection yet what landed
    kPlacing,
    kReady,
    kRefused,  // alone (WRONGTYPE, NOPERM, no id left): it is placed again at `retry_at`
  };
  State state = State::kUnplaced;
  std::unique_ptr<Placement> placing;
  /// Salvaged rows lie above the first and up to the second, and have not been looked for yet.
  std::optional<std::pair<StreamId, StreamId>> salvaged;
  LoopTime retry_at;
  Backoff backoff{500, 30'000};
  std::string refusal;  // the last one; empty: none
  /// A page that is on its way, for the placing or else for the supply.
  struct Read {
    uint64_t request = 0;
    bool down = false;
    StreamId above;
    StreamId to;
  };
  std::optional<Read> read;
  bool refill_wanted = false;   // what landed is forgotten as soon as nothing of it is on its way
  size_t moving = 0;            // rows on their way to the journal under new ids
  uint32_t moves_in_a_row = 0;  // since rows of it last landed
  // For figures only, since the start.
  uint64_t accepted = 0;  // for the journal: repeats are not among them
  uint64_t journaled = 0;
  uint64_t landed_rows = 0;  // those that are sent again count again

  bool has_rows_to_send() const { return rows.Next() != nullptr || rows.needs_page(); }
};

}  // namespace sprockets
