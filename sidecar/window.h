// The window: which events were lately given to us under a client's own id, and what became of them, so that a second
// copy gets the first one's answer instead of a second place in the stream. Pure; loop thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "shared/event.h"
#include "shared/stream_id.h"

namespace sprockets {

class Connection;

/// Where an answer goes: the n-th request of a client's connection.
struct ReplyTo {
  Connection* client = nullptr;
  uint64_t slot = 0;
};

class Window {
 public:
  enum class State : uint8_t {
    kPending,  // on its way to Redis or to disk; never evicted
    kLanded,   // in the stream, as `id`
    kSpilled,  // on disk, as `ticket`
    kUnknown,  // answered UNKNOWN: may be stored; never evicted, never sent directly again
  };

  struct Entry {
    EventIdentity identity;
    State state = State::kPending;
    bool landed_in_tail = false;  // pending here, but the stream's tail has shown that it is in there as `id`
    bool was_unknown = false;     // pending again after UNKNOWN: `id` is still the anchor
    StreamId id;                  // landed: its id. Unknown: the anchor, where a search must begin
    int64_t ticket = 0;           // spilled
    std::unique_ptr<std::vector<ReplyTo>> waiters;  // second copies that wait for the pending one's outcome

   private:
    friend class Window;
    Entry* older = nullptr;  // eviction order, only while settled (landed or spilled)
    Entry* newer = nullptr;
  };

  explicit Window(size_t capacity) : capacity_(capacity) {}

  /// The entry of this very event, or null.
  Entry* Find(const EventIdentity& identity);
  /// Another event came under the same stream and id.
  bool HasOtherPayload(const EventIdentity& identity) const;

  /// A new pending entry. The reference lives until it is settled and evicted, or erased.
  Entry* AddPending(const EventIdentity& identity);
  void SetLanded(Entry* entry, StreamId id);
  void SetSpilled(Entry* entry, int64_t ticket);
  void SetUnknown(Entry* entry, StreamId anchor);
  /// A copy of an unknown event is being spilled again.
  void SetPendingAgain(Entry* entry);
  void Erase(Entry* entry);

  /// What the spill files and the streams' tails tell at the start. They come newest first and count as older than
  /// everything that is there already; false: the window is full, no older one will fit.
  bool AddOlderSpilled(const EventIdentity& identity, int64_t ticket);
  bool AddOlderLanded(const EventIdentity& identity, StreamId id);
  /// Unknown ones always fit.
  void AddUnknown(const EventIdentity& identity, StreamId anchor);

  size_t size() const { return entries_.size(); }
  size_t capacity() const { return capacity_; }

 private:
  using Entries = std::unordered_multimap<Digest, Entry, DigestHash>;

  Entry* Insert(const EventIdentity& identity);
  Entry* AddOlder(const EventIdentity& identity, State state);
  void LinkNewest(Entry* entry);
  void Unlink(Entry* entry);
  void EvictBeyondCapacity();

  const size_t capacity_;
  Entries entries_;  // by who: the few with one id and several payloads stand side by side
  Entry* oldest_ = nullptr;
  Entry* newest_ = nullptr;
  size_t settled_ = 0;
};

}  // namespace sprockets
