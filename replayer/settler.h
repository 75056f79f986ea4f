// Settles the rows of one stream of a spill file: asks the stream which of the events in doubt it holds, many batches'
// worth in one pass, and judges each row by shared/settle.h. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replayer/batch.h"
#include "replayer/drain_report.h"
#include "replayer/session.h"
#include "shared/result.h"
#include "shared/settle.h"
#include "shared/spill_file.h"

namespace sprockets {

class StreamSettler {
 public:
  struct Options {
    std::string target;                // where what is missing will be sent
    bool whole_file_in_doubt = false;  // a suspect file, or a drained one that is offered again
    bool withhold_unproven = false;    // rows whose absence is not proven are set aside, not sent
  };
  /// All references must outlive the settler.
  StreamSettler(Session& session, DrainReport& report, SpillFile& file, const SpilledStream& stream, Options options);

  /// The batch was in flight as this range: every row of it is in doubt, and since when. `life_changed`: it went to
  /// another life of the server.
  struct RangeDoubt {
    Cursor::OpenRange range;
    bool life_changed = false;
  };

  /// Judges every row in doubt of `batch`: afterwards each is present, absent, a twin or set aside. Redis errors as in
  /// search.h.
  Status Settle(Batch& batch, const std::optional<RangeDoubt>& range);
  /// `row` of `batch` landed: a later row of the same event is already there.
  void Landed(const Batch& batch, const BatchRow& row);
  /// Rows up to here are done with.
  void Passed(int64_t ticket);
  /// What was searched is void: another connection, or something else may have landed meanwhile.
  void Forget() { search_.reset(); }

 private:
  struct Search {
    Settlement wanted;
    StreamFacts source;          // after the last page
    StreamFacts target;          // where it is another stream
    StreamId oldest;             // of what is wanted: where the search begins
    int64_t through_ticket = 0;  // every row in doubt up to here is wanted
  };

  bool leads_elsewhere() const { return options_.target != stream_.name; }
  /// Since when to look for a row in the stream that it was spilled for; nothing if it is not in doubt.
  struct Since {
    StreamId from;    // where the search must begin
    StreamId anchor;  // the oldest of its anchors: what proof of absence is measured by
  };
  std::optional<Since> SinceWhen(const std::optional<StreamId>& own_anchor, const std::string& own_run_id,
                                 const std::optional<RangeDoubt>& range, const StreamFacts& facts) const;
  Status Look(const Batch& batch, const std::optional<RangeDoubt>& range);
  Status LookAhead(int64_t after, const StreamFacts& facts, Search* search);
  void WantBatch(const Batch& batch, const std::optional<RangeDoubt>& range, const StreamFacts& facts, Search* search);
  void Judge(Batch& batch, const std::optional<RangeDoubt>& range);
  void JudgeAbsent(const Batch& batch, BatchRow& row, const std::optional<RangeDoubt>& range);

  Session& session_;
  DrainReport& report_;
  SpillFile& file_;
  const SpilledStream& stream_;
  const Options options_;
  IdentityHasher hasher_;
  std::vector<ConnectionId> connections_;  // of the file
  std::optional<Search> search_;           // valid on one connection
};

}  // namespace sprockets
