// Which rows of a stream are sent next, as far as they are in memory. Pure.
//
//   landed                                                                committed
//     │ a page, read from the journal │ … not in memory, if any … │ fresh rows │
//     └──────────────────────────── ids ascend ─────────────────────────────────┘
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>

#include "shared/ahead/journal.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// Of each event that was moved, the ticket of its current row, by the ticket of its first one.
using MovedRows = std::unordered_map<int64_t, int64_t>;

/// Is it the row of its event that counts?
bool IsCurrent(const JournalRow& row, const MovedRows& moved);

class RowSupply {
 public:
  /// `committed`: the highest id that the journal holds.
  explicit RowSupply(StreamId committed) : fresh_after_(committed), committed_(committed) {}

  /// A row was committed.
  void Add(JournalRow row);
  /// Rows above page_from() and up to `up_to`, read from the lowest on. `up_to` is page_to() as it was when the page
  /// was asked for.
  void AddPage(JournalPage page, StreamId up_to, const MovedRows& moved);
  /// The `at`-th row above what has landed; null: it is not in memory, or there is none.
  const JournalRow* Next(size_t at = 0) const;
  StreamId committed() const { return committed_; }
  /// A page above page_from() and up to page_to() is what is missing.
  bool needs_page() const { return page_.empty() && page_until_ < fresh_after_; }
  StreamId page_from() const { return page_until_; }
  StreamId page_to() const { return fresh_after_; }

  /// Every row at or below `landed` is passed.
  void Pass(StreamId landed);
  /// Rows above `landed` that were passed come again.
  void GoBack(StreamId landed);
  /// Rows that are not current any more are not sent.
  void DropMoved(const MovedRows& moved);
  /// Gives memory back: what is fresh is read from the journal when its turn comes.
  void ForgetFresh();

  bool has_page() const { return !page_.empty(); }
  size_t bytes() const { return page_bytes_ + fresh_bytes_; }
  size_t fresh_bytes() const { return fresh_bytes_; }

 private:
  std::deque<JournalRow> page_;
  StreamId page_until_;  // every current row up to here was in a page, or has landed
  std::deque<JournalRow> fresh_;
  StreamId fresh_after_;  // every committed current row above it is in fresh_
  StreamId committed_;
  size_t page_bytes_ = 0;
  size_t fresh_bytes_ = 0;
};

}  // namespace sprockets
