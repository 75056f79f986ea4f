// The window's entries by who they are: a hash table whose chains run through the entries, and a pool that uses their
// places again, so that in the steady state an event allocates nothing. Pure; loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

/// An event that the window knows.
struct WindowEntry {
  enum class State : uint8_t {
    kPending,  // on its way to Redis or to disk; never evicted
    kLanded,   // in the stream, as `id`
    kSpilled,  // on disk, as `ticket`
    kUnknown,  // answered UNKNOWN: may be stored; never sent directly again
  };

  EventIdentity identity;
  State state = State::kPending;
  bool landed_in_tail = false;  // pending here, but the stream's tail has shown that it is in there as `id`
  bool from_tail = false;       // only a stream's tail has shown it
  bool was_unknown = false;     // pending again after UNKNOWN: `id` is still the anchor
  StreamId id;                  // landed: its id. Unknown: the anchor, where a search must begin
  int64_t ticket = 0;           // spilled
  std::unique_ptr<std::vector<ReplyTo>> waiters;  // second copies that wait for the pending one's outcome

 private:
  friend class Window;
  friend class WindowIndex;
  // The order in which entries of this life are evicted; settled ones and unknown ones apart.
  WindowEntry* older = nullptr;
  WindowEntry* newer = nullptr;
  WindowEntry* next_in_bucket = nullptr;
};

class WindowIndex {
 public:
  WindowIndex();

  /// A new entry, pending; several may have the same `who`. The pointer is good until Erase.
  WindowEntry* Insert(const EventIdentity& identity);
  void Erase(WindowEntry* entry);
  /// The newest entry with this `who` of which `matches(entry)` is true, or null.
  template <typename Matches>
  WindowEntry* Find(const Digest& who, const Matches& matches) const {
    for (WindowEntry* entry = buckets_[BucketOf(who)]; entry != nullptr; entry = entry->next_in_bucket) {
      if (entry->identity.who == who && matches(*entry)) return entry;
    }
    return nullptr;
  }
  /// Fetches into the cache what a Find or an Erase of it will look at. A large index is in no cache, so whoever knows
  /// early what comes next does something else meanwhile.
  void Prefetch(const Digest& who) const { __builtin_prefetch(&buckets_[BucketOf(who)]); }
  size_t size() const { return size_; }

 private:
  // Digests are random already. The number of buckets is a power of two.
  size_t BucketOf(const Digest& who) const { return static_cast<size_t>(who.low) & (buckets_.size() - 1); }
  void Link(WindowEntry* entry);
  void Grow();

  std::vector<WindowEntry*> buckets_;
  std::deque<WindowEntry> pool_;  // never moves what is in it
  std::vector<WindowEntry*> free_;
  size_t size_ = 0;
};

}  // namespace sprockets
