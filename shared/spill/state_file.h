// state.sqlite: what the sidecar must remember from one life to the next: its connections to Redis, until each is known
// to be dead, and which tickets are taken. Owned by the holder of the folder's lock. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/connection_id.h"
#include "shared/spill/folder.h"

namespace sprockets {

class StateFile {
 public:
  /// Creates it where missing: then tickets go on above `highest_ticket_found` (in the folder's files), and if
  /// `folder_has_files` the connections of earlier lives are lost (connections_lost). An unreadable state file is set
  /// aside as state.sqlite.broken-<n>, with the same effect. kForeign if it is of a newer version.
  struct Found {
    bool folder_has_files = false;
    int64_t highest_ticket = 0;
  };
  static Result<StateFile> Open(const SpillFolder& folder, const Found& found);
  /// As it is, for a drainer in the sidecar's absence; kNotFound if there is none.
  static Result<StateFile> OpenExisting(const SpillFolder& folder);
  StateFile(StateFile&&) noexcept;
  StateFile& operator=(StateFile&&) noexcept;
  ~StateFile();

  /// Every connection that was written down and is not known to be dead, the live one included.
  const std::vector<ConnectionId>& connections() const;
  /// Earlier connections exist that nobody can name: no fence is complete until the server's run_id has changed.
  bool connections_lost() const;
  /// When the life before this one ended, nothing that it had sent was without its answer, and nobody had been told
  /// UNKNOWN (NoteNothingInFlight); or there was none.
  bool nothing_was_in_flight() const;

  /// One commit: adds `live` and strikes off `dead`. Before the live one carries its first event.
  /// Clears connections_lost if the server's run_id is another one than at the first call after the loss.
  Status Record(const ConnectionId& live, std::span<const ConnectionId> dead);
  /// One commit: strikes off `dead`.
  Status Strike(std::span<const ConnectionId> dead);

  /// The next ticket: 1, 2, … never again, over all lives. Reserves a block of 10 000 with one commit whenever the last
  /// is used up.
  Result<int64_t> NextTicket();
  /// No ticket above it was ever given.
  int64_t highest_ticket() const;
  /// One commit: no connection carries an event, and none ever will again but one that is recorded after this; what
  /// earlier ones left in doubt is stored. Recording a connection takes it back. Nothing is written where the life
  /// before this one may have left something in flight and this one has recorded no connection: it has settled nothing.
  /// If this fails the life after this one is only more careful.
  Status NoteNothingInFlight();
  /// Checkpoints and closes; the object is unusable afterwards.
  Status Close();

 private:
  struct Impl;
  explicit StateFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sprockets
