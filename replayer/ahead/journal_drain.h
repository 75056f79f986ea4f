// Forwards what the journals of a folder hold, by the protocol of `--ack disk`, where no sidecar is at work: the same
// forwarder over a connection that waits for each answer. The caller holds drain.lock. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include "replayer/ahead/folder_journal.h"
#include "replayer/ahead/link.h"
#include "replayer/drain/options.h"
#include "replayer/drain/pace.h"
#include "replayer/drain/report.h"
#include "replayer/drain/session.h"
#include "shared/ahead/forwarder.h"
#include "shared/base/result.h"
#include "shared/journal/journal_contents.h"
#include "shared/spill/folder.h"
#include "shared/spill/start_up.h"

namespace sprockets {

class JournalDrain : private ForwarderNotices {
 public:
  /// All must outlive it.
  JournalDrain(const DrainOptions& options, const SpillFolder& folder, DrainReport& report, Dial dial = DialSocket)
      : options_(options),
        folder_(folder),
        report_(report),
        link_(options.redis, std::move(dial)),
        pace_(options.rate, Flight::Limits().rows) {}

  /// Until nothing waits, or Redis does not take it. A sidecar that is at work sends what its journals hold itself:
  /// then nothing is done, and what is left is said.
  Status Run();

 private:
  // ForwarderNotices
  void Ready(const Incarnation& incarnation, bool guarded, bool is_new) override;
  void Decided(const AheadStream& stream, const Placing::Counts& counts) override;
  void StreamRefused(const AheadStream& stream, std::string_view why) override;

  Status LeaveToSidecar();
  Result<MoveWriter::Origin> ReadOrigin(const JournalContents& contents);
  void Select(JournalContents* contents);
  Result<Incarnation> Connect();
  Status RefuseOtherRedis(const MoveWriter::Origin& origin, const Incarnation& incarnation, const LandedMarks& marks);
  Result<uint64_t> CountRows(const JournalContents& contents, const LandedMarks& marks, const Incarnation& incarnation);
  Status Forward(const JournalContents& contents, MoveWriter::Origin origin, StateFile* state);
  Status RunForwarder(StateFile* state);
  Status Reconnect();
  Result<bool> Wait();
  bool IsDone() const;
  Result<bool> IsProven();
  Status NoteLanded(StateFile* state);
  void Count();
  void CountRefused();

  const DrainOptions& options_;
  const SpillFolder& folder_;
  DrainReport& report_;
  AheadLink link_;
  Pace pace_;
  std::optional<FolderJournal> journal_;
  std::optional<Forwarder> forwarder_;
  DrainCounts before_;      // what was counted before this object began
  uint64_t paced_ = 0;      // landed rows that --rate has been told of
  uint64_t settled_ = 0;    // rows that have landed, or are settled otherwise
  int64_t settled_ms_ = 0;  // when that number last grew, on the steady clock
  int64_t marked_ms_ = 0;   // when marks were last written down
  int breaks_ = 0;          // of connections that were of use, since then
  int64_t lost_ms_ = 0;     // when the last one broke
  int tries_ = 0;           // to connect, since rows were settled last
  Backoff backoff_ = RetryBackoff();
  std::minstd_rand random_{std::random_device{}()};
};

/// Does a file that waits in this folder belong to --ack disk?
Result<bool> HasJournals(const SpillFolder& folder);

}  // namespace sprockets
