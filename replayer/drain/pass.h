// One pass of the drain over the spill folder: file by file in number order, stream by stream. The caller holds
// drain.lock. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/drain/options.h"
#include "replayer/drain/pace.h"
#include "replayer/drain/report.h"
#include "replayer/drain/searches.h"
#include "replayer/drain/session.h"
#include "replayer/drain/stream_drain.h"
#include "replayer/redis/wire.h"
#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"

namespace sprockets {

class DrainPass {
 public:
  /// All must outlive the pass. `dial` connects to it, and to the sidecar.
  DrainPass(const DrainOptions& options, const SpillFolder& folder, DrainReport& report, Dial dial = DialSocket);

  /// Brings the active file within reach: asks the sidecar to seal it or, where none runs, recovers and seals what it
  /// left behind.
  Status SealActive();
  /// Whether Redis can be reached at all: only then is it worth while to have a file sealed.
  Status Reach() { return session_.Connect(); }
  /// Connects, and drains every file that waits.
  Status DrainAll();
  /// Connects, and offers a drained file again: every event in it is settled.
  Status OfferAgain(const SpillFileInfo& info);

 private:
  /// Whether the pass may go on to the next file.
  enum class Next { kGoOn, kEnd };

  Status RefuseOtherServer();
  Status RefuseOtherDatabase(const SpillFile& file) const;
  Status RefuseOtherRedis(SpillFile& file);
  Status SealLeftBehind();
  Result<Next> DrainFile(const SpillFileInfo& info);
  Result<Next> FinishOffer(const SpillFileInfo& info);
  Result<Next> OfferRest(SpillFile& file);
  Result<Next> DrainStreams(SpillFile& file, bool* all_done);
  Result<StreamDrain::End> DrainStream(SpillFile& file, const SpilledStream& stream);
  Status Finish(SpillFile& file);
  Result<Next> PassOver(const SpillFileInfo& info, const Error& error);
  Status RefuseIfLowerFileWaits(const SpillFileInfo& info, const std::vector<SpilledStream>& streams);
  StreamSettler::Options SettlerOptions(const SpillFile& file, std::string_view target) const;
  bool IsSelected(const SpilledStream& stream) const;

  const DrainOptions& options_;
  const SpillFolder& folder_;
  DrainReport& report_;
  const Dial dial_;
  Session session_;
  Pace pace_;
  Searches searches_;
  std::set<std::string> stopped_streams_;  // refused by Redis: their later files wait, too, for the order
  std::set<std::string> seen_streams_;     // of the files that were drained
  bool right_redis_ = false;               // the sidecar is connected to the same one
  bool offers_again_ = false;
};

/// Does the drain take this file: is it sealed or suspect, and can it be read?
bool WaitsForDrain(const SpillFileInfo& info);

/// Removes files that were drained at least `keep_ms` ago and are expendable (spill_retention.h).
Status RemoveOldDrained(const SpillFolder& folder, int64_t keep_ms);

/// What no drain sends any more, in every file of the folder, drained ones too.
struct KeptAside {
  uint64_t rejected = 0;       // rows that Redis would not take; those of files that cannot be read do not count
  uint64_t damaged_files = 0;  // of which salvage could not read all
};
/// Warns of each file that has some, and says what can be done.
Result<KeptAside> LookAtKeptAside(const SpillFolder& folder);

/// Rows that still wait in files that the drain takes, of streams that match the glob. Files that cannot be read do not
/// count.
Result<uint64_t> CountLeft(const SpillFolder& folder, std::string_view streams_glob);

}  // namespace sprockets
