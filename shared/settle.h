// Settling: did an event in doubt land or not? The decisions only; fences, XINFO and XRANGE are the caller's. Pure.
//
// An event is in doubt when the connection that carried it broke, timed out, or answered something that Redis would
// not. It may be in the stream, or still on its way: bytes in a kernel's or a proxy's buffer are applied after we gave
// up. So:
//   1. fence: on one connection to a master, kill every connection that may still deliver it;
//   2. search: from the oldest anchor to the stream's last id as it is after the fence;
//   3. what was not found is absent, and that is proof only if nothing can have been removed from the searched part;
//   4. send what is missing on that same connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/connection_id.h"
#include "shared/event.h"
#include "shared/stream_id.h"

namespace sprockets {

/// What XINFO STREAM says, or the beginning of everything where the key does not exist.
struct StreamFacts {
  bool exists = false;
  StreamId last_id;         // last-generated-id
  StreamId first_id;        // of the first entry; 0-0 if there is none
  StreamId max_deleted_id;  // max-deleted-entry-id (Redis 7)
  uint64_t length = 0;
  uint64_t entries_added = 0;
  bool complete = true;  // false: the server is older than 7.0 or may not say, so absence is never proof
};

/// Is the fence complete? Every listed connection of this run_id was killed (or was already gone), and none is unknown.
/// Connections under another run_id died with their server.
struct FenceState {
  bool complete = true;
};

/// Which of `listed` must be killed on a server with this run_id: those of its own life, but never `self`.
std::vector<ConnectionId> ConnectionsToFence(const std::vector<ConnectionId>& listed, const std::string& run_id,
                                             const ConnectionId& self);

/// Which of `listed` no fence reaches, because their run_id or the server's is not known (empty: INFO was forbidden):
/// their ids may by now belong to strangers. One of these makes the fence incomplete.
std::vector<ConnectionId> ConnectionsOfUnknownLife(const std::vector<ConnectionId>& listed, const std::string& run_id,
                                                   const ConnectionId& self);

/// Where the search must begin (entries with an id above it): the anchor, but 0-0 if the server's life changed since
/// the anchor was seen, or if the stream's last id is below the anchor (then the stream began again).
StreamId SearchFrom(StreamId anchor, bool run_id_changed, const StreamFacts& facts);

/// Whether "not found after searching from SearchFrom(anchor)" proves that the event is not in the stream and never was
/// since. `facts` are those after the last page. False if trimming or XDEL may have removed it.
bool AbsenceIsProof(StreamId anchor, const StreamFacts& facts, const FenceState& fence);

/// The events of one search, ticked off as the stream's entries go by. Memory is 48 bytes or so an event.
class Settlement {
 public:
  enum class Verdict { kFound, kMissing };

  /// An event in doubt that the search shall look for.
  void Want(const EventIdentity& identity);
  /// An entry of the stream.
  void SawEntry(const EventIdentity& identity);
  /// Something was sent and landed since the search: a second row of the same event must not be sent again.
  void Landed(const EventIdentity& identity);
  Verdict Judge(const EventIdentity& identity) const;
  /// Every wanted event was found: the search may stop.
  bool all_found() const { return missing_ == 0; }
  size_t size() const { return found_.size(); }

 private:
  std::unordered_map<EventIdentity, bool, EventIdentityHash> found_;
  size_t missing_ = 0;
};

}  // namespace sprockets
