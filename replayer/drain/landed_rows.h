// Which rows of the journals in a folder (files of --ack disk) are done, as their sidecar has noted it. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"

namespace sprockets {

/// Reads the folder when it is first asked, and nothing at all where nobody asks. While a sidecar runs, it alone knows:
/// every answer is kBusy.
class LandedRows {
 public:
  explicit LandedRows(const SpillFolder& folder) : folder_(folder) {}

  /// Whether the others have answers.
  Status Know();
  /// How many events of this stream wait in the file. An event that was moved waits in its last row.
  Result<int64_t> CountWaiting(SpillFile& journal, const SpilledStream& stream);
  /// All streams of the file together.
  Result<int64_t> CountWaiting(SpillFile& journal);
  /// As SpillFile::Visit, only the rows that CountWaiting counts.
  Status VisitWaiting(SpillFile& journal, const SpilledStream& stream,
                      const std::function<bool(const SpilledEvent&)>& visitor,
                      const std::function<void(int64_t, std::string_view)>& on_bad_row = nullptr);

 private:
  struct Known {
    LandedMarks marks;
    std::map<std::string, std::vector<int64_t>, std::less<>> superseded;  // by stream: rows with a later one, ascending

    /// The ticket of the last row that has landed, as far as it is in this file.
    Result<int64_t> UpTo(SpillFile& journal, const SpilledStream& stream) const;
    const std::vector<int64_t>& SupersededOf(std::string_view stream) const;
  };
  Result<const Known*> Ask();
  Result<Known> Read() const;
  Status ReadMarks(Known* known) const;
  Status ReadMoves(Known* known) const;

  const SpillFolder& folder_;
  std::optional<Result<Known>> known_;
};

/// What a user should know of a journal, and do about one that waits.
inline constexpr std::string_view kJournalWhy =
    "it was written with --ack disk: its events have their entry ids already";
inline constexpr std::string_view kJournalWayOut = "start the sidecar with --ack disk, or drain: either forwards them";

}  // namespace sprockets
