// Settling: did an event in doubt land or not? The decisions only; fences, XINFO and XRANGE are the caller's. Pure.
//
// An event is in doubt when the connection that carried it broke, timed out, or answered something that Redis would
// not. It may be in the stream, or still on its way: bytes in a kernel's or a proxy's buffer are applied after we gave
// up. So:
//   1. fence: on one connection to a master, kill every connection that may still deliver it (fence.h);
//   2. search: from the oldest anchor to the stream's last id as it is after the fence;
//   3. what was not found is absent, and that is proof only if this is still the stream of the anchor, and nothing can
//      have been removed from the searched part (AbsenceIsProof);
//   4. send what is missing on that same connection.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "shared/redis/event.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// What XINFO STREAM says, or the beginning of everything where the key does not exist.
struct StreamFacts {
  bool exists = false;
  StreamId last_id;         // last-generated-id
  StreamId first_id;        // of the first entry; 0-0 if there is none
  StreamId max_deleted_id;  // max-deleted-entry-id (Redis 7)
  uint64_t length = 0;
  uint64_t entries_added = 0;
  bool last_id_known = true;  // false: nobody may say; last_id is 0-0 then
  bool complete = true;       // false: the server is older than 7.0 or may not say, so absence is never proof
};

/// What became of the fence: Fence::IsComplete.
struct FenceState {
  bool complete = true;
};

/// Where the search must begin (entries with an id above it): the anchor, but 0-0 if the server's life changed since
/// the anchor was seen, or if the stream's last id is below the anchor (then the stream began again).
StreamId SearchFrom(StreamId anchor, bool run_id_changed, const StreamFacts& facts);

/// Whether "not found after searching from SearchFrom(anchor)" proves that the event is not in the stream and was not
/// there either. `facts` are those after the last page; `seen` is the highest id of the stream that
/// anybody who is asked here ever saw; what is below the anchor does not matter.
///
/// Absence proves nothing unless this is still the stream in which the anchor was seen, whole from the anchor on.
/// XINFO has no name for a stream's life: after RENAME or DEL the key is missing, or holds a new stream whose ids, made
/// of the time, are all above the anchor, and whose entries-added equals its length. So:
///
///   fence incomplete, or facts incomplete         no    it may still arrive; or nobody says what was removed
///   something above the anchor was deleted        no    max-deleted-entry-id is past the anchor
///   the key is missing, but something was seen    no    the stream was renamed, deleted, or lost with its Redis
///   the last id is below what was seen            no    the stream began again, or lost its end
///   anchor above 0-0, an entry at or before it    yes   trimming takes from the front, and has not come to the anchor
///   anchor above 0-0, no entry at or before it    no    trimmed, or another stream of the same name
///   anchor 0-0, entries-added above the length    no    something was removed
///   anchor 0-0, nothing was ever seen, the rest   yes   everything that was ever added is there
///   anchor 0-0, something was seen: the same, but only while an entry at or before that is there
///
/// What remains open: a stream that nobody had seen an entry of when the doubt arose, and that was renamed or deleted
/// before anybody saw one.
bool AbsenceIsProof(StreamId anchor, const StreamFacts& facts, const FenceState& fence, StreamId seen = kStreamBegin);

/// The events that are searched for in one stream, ticked off as its entries go by. More may be wanted later: begin()
/// says where the next search must begin so that afterwards each was looked for from its own anchor on. Memory is 80
/// bytes or so an event.
class Settlement {
 public:
  enum class Verdict { kFound, kMissing };

  /// An event in doubt that the search shall look for, among the entries above `from`.
  void Want(const EventIdentity& identity, StreamId from = kStreamBegin);
  /// An entry of the stream.
  void SawEntry(const EventIdentity& identity);
  /// Every entry above begin() and up to here was seen, unless everything was found before.
  void Searched(StreamId bound);
  /// Something was sent and landed since the search: a second row of the same event must not be sent again.
  void Landed(const EventIdentity& identity);
  Verdict Judge(const EventIdentity& identity) const;
  /// Every wanted event was found: the search may stop.
  bool all_found() const { return missing_ == 0; }
  /// Above which id the next search must look.
  StreamId begin() const { return begin_.value_or(kStreamBegin); }
  /// Up to which id entries were seen.
  StreamId bound() const { return bound_; }
  size_t size() const { return wanted_.size(); }

 private:
  struct Wanted {
    StreamId from;
    bool found = false;
  };
  std::unordered_map<EventIdentity, Wanted, EventIdentityHash> wanted_;
  size_t missing_ = 0;
  std::optional<StreamId> begin_;
  StreamId bound_;
};

}  // namespace sprockets
