// Settles the rows of one stream of a spill file: asks the stream, and every other one that its rows were led to, which
// of the events in doubt it holds, many batches' worth in one pass, and judges each row by shared/settle.h. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replayer/drain/batch.h"
#include "replayer/drain/report.h"
#include "replayer/drain/searches.h"
#include "replayer/drain/session.h"
#include "shared/base/result.h"
#include "shared/redis/settle.h"
#include "shared/spill/file.h"

namespace sprockets {

class StreamSettler {
 public:
  struct Options {
    std::string target;                // where what is missing will be sent
    bool whole_file_in_doubt = false;  // a suspect file, or a drained one that is offered again
    bool withhold_unproven = false;    // rows whose absence is not proven are set aside, not sent
  };
  /// All references must outlive the settler.
  StreamSettler(Session& session, DrainReport& report, Searches& searches, SpillFile& file, const SpilledStream& stream,
                Options options);

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
  /// What was searched is not the last word any more: another connection, or something else may have landed meanwhile.
  void Forget() { looked_through_ = 0; }

 private:
  /// Where a row may be: the stream that it was spilled for comes first.
  struct Place {
    std::string name;
    std::optional<StreamId> anchor;  // of another stream: its last id before any of these rows was sent there; none:
                                     // they were not, but another copy of an event may be there
    PlaceSearch* search = nullptr;
  };
  /// What a whole file adds to the doubts that its rows say themselves.
  struct FileDoubt {
    bool whole_file = false;  // every row is in doubt, since the stream's tail
    bool life_known = false;  // every connection of the file is of this life of the server
    StreamId tail;
  };
  /// Since when to look for a row in the stream that it was spilled for; nothing if it is not in doubt.
  struct Since {
    StreamId from;    // where the search must begin
    StreamId anchor;  // the oldest of its anchors: what proof of absence is measured by
  };

  FileDoubt DoubtOf(bool whole_file, const std::vector<ConnectionId>& connections, StreamId tail) const;
  /// `own`: the row's own doubt, as the sidecar wrote it down; may be null.
  std::optional<Since> SinceWhen(const Doubt* own, const FileDoubt& file, const std::optional<RangeDoubt>& range,
                                 const StreamFacts& facts) const;
  std::vector<Place> PlacesOf(const std::optional<RangeDoubt>& range);
  void Want(const EventIdentity& identity, const Since& since);
  bool WantSpilled(const SpilledEvent& spilled, const FileDoubt& file, const StreamFacts& facts);
  Status Look(const Batch& batch, const std::optional<RangeDoubt>& range);
  void WantBatch(const Batch& batch, const std::optional<RangeDoubt>& range, const StreamFacts& facts);
  Result<int64_t> LookAhead(int64_t after, const StreamFacts& facts);
  Status LookIntoLaterFiles(const StreamFacts& facts);
  Status LookIntoFile(const SpillFileInfo& info, const StreamFacts& facts, uint64_t* affordable_rows);
  void Judge(Batch& batch, const std::optional<RangeDoubt>& range);
  void JudgeAbsent(const Batch& batch, BatchRow& row, const std::optional<RangeDoubt>& range);
  bool AbsenceIsProven(const BatchRow& row, const std::optional<RangeDoubt>& range) const;

  Session& session_;
  DrainReport& report_;
  Searches& searches_;
  SpillFile& file_;
  const SpilledStream& stream_;
  const Options options_;
  FileDoubt file_doubt_;        // as it was at the last look
  std::vector<Place> places_;   // likewise
  int64_t looked_through_ = 0;  // rows in doubt up to this ticket are wanted, and were looked for on this connection
};

}  // namespace sprockets
