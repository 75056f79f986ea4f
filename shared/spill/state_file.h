// state.sqlite: what the sidecar must remember from one life to the next: its connections to Redis, until each is known
// to be dead, and which tickets are taken; with --ack disk, the tags in the ids that it has made and how far each
// stream has landed. Owned by the holder of the folder's lock. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/folder.h"
#include "shared/spill/known_connections.h"
#include "shared/spill/spilled.h"

namespace sprockets {

/// What the rest of the folder says, where there is no state file to ask.
struct FoundInFolder {
  bool folder_has_files = false;
  int64_t highest_ticket = 0;
};

using LandedMarks = std::map<std::string, LandedMark, std::less<>>;  // by stream

/// Where a StateFile lies; SpillFolder opens it.
class StateStore {
 public:
  struct Content {
    KnownConnections connections;
    bool nothing_in_flight = false;
    int64_t reserved_ticket = 0;      // no ticket up to here may be given again
    std::vector<uint32_t> tags = {};  // of all lives, in the order in which they were drawn
    LandedMarks landed = {};
    int64_t redis_first_until_ms = 0;  // StateFile::redis_first_until_ms

    /// Of one that is made anew.
    static Content First(const FoundInFolder& found);
  };

  virtual ~StateStore() = default;
  /// As it was last read or written.
  virtual const Content& content() const = 0;
  /// One commit. Tags are only ever added, and `landed` is as it was. On an error it may be stored or not, and later
  /// ones may fail, too.
  virtual Status Write(const Content& next) = 0;
  /// One commit of these marks, in the place of those that their streams had; the others are not touched.
  virtual Status WriteLanded(std::span<const LandedMark> marks) = 0;
  /// The object is unusable afterwards.
  virtual Status Close() = 0;
};

class StateFile {
 public:
  using Found = FoundInFolder;

  /// Creates it where missing: then tickets go on above `highest_ticket` of what was found, and if `folder_has_files`
  /// the connections of earlier lives are lost (connections_lost). An unreadable state file is set aside as
  /// state.sqlite.broken-<n>, with the same effect. kForeign if it is of a newer version.
  static Result<StateFile> Open(const SpillFolder& folder, const Found& found);
  /// As it is, for a drainer in the sidecar's absence; kNotFound if there is none.
  static Result<StateFile> OpenExisting(const SpillFolder& folder);

  /// Every connection that was written down and is not known to be dead, the live one included.
  const std::vector<ConnectionId>& connections() const { return known().listed(); }
  /// Earlier connections exist that nobody can name: no fence is complete until the server's run_id has changed.
  bool connections_lost() const { return known().lost(); }
  /// When the life before this one ended, nothing that it had sent was without its answer, and nobody had been told
  /// UNKNOWN (NoteNothingInFlight); or there was none.
  bool nothing_was_in_flight() const { return nothing_was_in_flight_; }

  /// One commit: adds `live` and strikes off `dead`. Before the live one carries its first event.
  /// Clears connections_lost if the server's run_id is another one than at the first call after the loss.
  Status Record(const ConnectionId& live, std::span<const ConnectionId> dead);
  /// One commit: strikes off `dead`.
  Status Strike(std::span<const ConnectionId> dead);

  /// The next ticket: 1, 2, … never again, over all lives. Reserves a block of 100 000 with one commit whenever the
  /// last is used up.
  Result<int64_t> NextTicket();
  /// No ticket above it was ever given.
  int64_t highest_ticket() const { return next_ticket_ - 1; }
  /// One commit: no connection carries an event, and none ever will again but one that is recorded after this; what
  /// earlier ones left in doubt is stored. Recording a connection takes it back. Nothing is written where the life
  /// before this one may have left something in flight and this one has recorded no connection: it has settled nothing.
  /// If this fails the life after this one is only more careful.
  Status NoteNothingInFlight();
  /// Every tag that a life of this folder has put into the ids of entries.
  const std::vector<uint32_t>& tags() const { return store_->content().tags; }
  /// One commit. Before the first id with it is made. From then on programs that know no journals refuse the file: what
  /// waits in journals would wait for ever, and they would take their events again.
  Status AddTag(uint32_t tag);
  /// Until then a life with --ack redis may have put events into streams that no file of the folder holds. 0: there was
  /// none; kStillGoingOn: no life with --ack disk has come since.
  int64_t redis_first_until_ms() const { return store_->content().redis_first_until_ms; }
  static constexpr int64_t kStillGoingOn = INT64_MAX;
  /// One commit: from `now_ms` on events go to journals first.
  Status NoteDiskFirst(int64_t now_ms);
  const LandedMarks& landed() const { return store_->content().landed; }
  /// One commit, which costs one sync and no more than these marks, however many streams there are. If it fails, the
  /// marks only lag.
  Status NoteLanded(std::span<const LandedMark> marks);

  /// Checkpoints and closes; the object is unusable afterwards.
  Status Close();

 private:
  StateFile(std::unique_ptr<StateStore> store, int64_t highest_ticket);
  const KnownConnections& known() const { return store_->content().connections; }

  std::unique_ptr<StateStore> store_;
  bool nothing_was_in_flight_;  // as it was opened
  bool recorded_ = false;       // a connection, since it was opened: it fences what earlier ones had in flight
  int64_t next_ticket_;
};

}  // namespace sprockets
