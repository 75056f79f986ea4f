// The journal of `--ack disk` as those know it who decide: rows that are committed before they are acknowledged, and
// that are sent from there. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

struct AheadStream;

/// An event of the journal under the id that its entry has, or will have.
struct JournalRow {
  int64_t ticket = 0;  // over all streams; of two rows of a stream the one with the higher id has the higher ticket
  int64_t origin = 0;  // the ticket of the event's first row: of a moved event, another one
  StreamId id;
  std::string xadd;       // the whole command, id included
  size_t id_word = 0;     // which of its words the id is; the fields stand behind it
  bool salvaged = false;  // from a damaged journal, at a time when later rows may have gone past it

  size_t bytes() const { return xadd.size() + sizeof(JournalRow); }

  static JournalRow Of(int64_t ticket, int64_t origin, StreamId id, const EventView& event);
  /// The same event under another id. Its ticket is given by the journal.
  JournalRow Under(StreamId other) const;
};

/// A page that is wanted. Up: rows with above < id <= to, from the lowest on. Down: above < id < to, from the highest
/// on.
struct JournalRead {
  std::string stream;
  uint64_t request = 0;
  bool down = false;
  StreamId above;
  StreamId to;
};

/// Rows of one stream, as they were read.
struct JournalPage {
  uint64_t request = 0;
  std::vector<JournalRow> rows;
  bool is_last = false;  // there are no further rows in this direction, of those committed when the page was asked for
};

/// One life of one dataset: what landed in it may be missing from another. A restart changes the run_id, a promotion
/// the replication id.
struct Incarnation {
  std::string run_id;
  std::string replication_id;
  bool operator==(const Incarnation&) const = default;
};

/// The journal's side of the forwarder.
class JournalSource {
 public:
  virtual ~JournalSource() = default;
  /// Rows above `above`, up to `up_to`, from the lowest on. A page with the same `request` follows
  /// (Forwarder::OnPage): as many rows as make a flight or two, at least one unless there is none.
  virtual void ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) = 0;
  /// Rows above `above` and below `below`, from the highest on.
  virtual void ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) = 0;
  /// One commit. Forwarder::OnMoved follows, however long it takes.
  virtual void Move(AheadStream& stream, std::vector<JournalRow> rows) = 0;
  /// Redis will not take this row, and why. It is kept aside.
  virtual void Reject(AheadStream& stream, int64_t ticket, std::string_view why) = 0;
};

}  // namespace sprockets
