// The window: which events were lately given to us under a client's own id, and what became of them, so that a second
// copy gets the first one's answer instead of a second place in the stream. Pure; loop thread only.
//
// It keeps the newest `capacity` settled events. What earlier lives left (rows of spill files, entries of streams) is
// read from many places in any order, so each such entry brings its time, and the oldest goes first, wherever it came
// from; entries of this life are newer than all of them. Beyond the capacity it keeps what is pending, what was
// answered UNKNOWN, and what an earlier life may have left without an answer: those are the events that do come again.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"
#include "sidecar/core/window_index.h"

namespace sprockets {

class Window {
 public:
  using Entry = WindowEntry;
  using State = WindowEntry::State;

  /// `most_unknown`: as many UNKNOWN ones are kept, and as many that an earlier life may have left unanswered.
  static constexpr size_t kMostUnknown = 64 * 1024;
  explicit Window(size_t capacity, size_t most_unknown = kMostUnknown)
      : capacity_(capacity), most_unknown_(most_unknown) {}

  /// Find follows soon; see WindowIndex.
  void Prefetch(const EventIdentity& identity) const { entries_.Prefetch(identity.who); }
  /// The entry of this very event, or null.
  Entry* Find(const EventIdentity& identity);
  /// Another event came under the same stream and id.
  bool HasOtherPayload(const EventIdentity& identity) const;

  /// A new pending entry. The reference lives until it is settled and evicted, or erased.
  Entry* AddPending(const EventIdentity& identity);
  void SetLanded(Entry* entry, StreamId id);
  void SetSpilled(Entry* entry, int64_t ticket);
  /// False: for its sake an older unknown one had to be forgotten.
  [[nodiscard]] bool SetUnknown(Entry* entry, StreamId anchor);
  /// A copy of an unknown event is being spilled again.
  void SetPendingAgain(Entry* entry);
  void Erase(Entry* entry);

  /// An event of an earlier life: in its stream as `id` (in a journal: it is, or will be), or, where that is 0-0, on
  /// disk as `ticket`.
  struct Restored {
    EventIdentity identity;
    StreamId id;
    int64_t ticket = 0;
    int64_t when_ms = 0;            // when it was received or landed, milliseconds since 1970
    bool clients_id = true;         // an event whose id we made has a place only where no client's needs one
    bool maybe_unanswered = false;  // the earlier life may have ended before it could answer
    bool from_tail = false;         // read in the stream itself, which may be another one by and by
    int64_t origin = 0;             // of a journal's row that moves an event: the ticket of the event's first row
  };
  void Restore(const Restored& restored);
  /// Forgets what only the tails of streams have shown, but for ids that `keeps`.
  void ForgetTails(const std::function<bool(StreamId)>& keeps);
  /// Would an event of an earlier life with a client's id, and of this time, be kept? Whoever reads newest first may
  /// stop when it would not.
  bool WouldKeep(int64_t when_ms) const;
  /// As SetUnknown.
  [[nodiscard]] bool AddUnknown(const EventIdentity& identity, StreamId anchor);

  size_t size() const { return entries_.size(); }
  size_t capacity() const { return capacity_; }
  size_t unknown() const { return unknown_.size; }

 private:
  struct List {
    Entry* oldest = nullptr;
    Entry* newest = nullptr;
    size_t size = 0;
    void Link(Entry* entry);
    void Unlink(Entry* entry);
  };

  /// When an entry of an earlier life is evicted: those with ids that we made first, then the oldest.
  struct Age {
    bool clients_id = true;
    int64_t when_ms = 0;
    Entry* entry = nullptr;
    auto operator<=>(const Age&) const = default;
  };
  using OldestFirst = std::priority_queue<Age, std::vector<Age>, std::greater<>>;

  void ForgetTailsIn(OldestFirst* queue, const std::function<bool(StreamId)>& keeps);
  void EvictBeyondCapacity();
  void PrefetchNextEviction() const;
  bool ForgetUnknownBeyondLimit();

  const size_t capacity_;
  WindowIndex entries_;
  List settled_;  // landed or spilled in this life
  List unknown_;
  OldestFirst restored_;    // settled by earlier lives; evicted before settled_
  OldestFirst unanswered_;  // what earlier lives may have left unanswered, beyond the capacity
  const size_t most_unknown_;
};

/// What was read from one file that an earlier life left.
struct EarlierEvents {
  struct Unknown {
    EventIdentity identity;
    StreamId anchor;
  };
  std::vector<Window::Restored> spilled;
  std::vector<Unknown> unknown;  // every row of a suspect file: nobody knows what became of it
};

}  // namespace sprockets
