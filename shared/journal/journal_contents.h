// What the journals of --ack disk hold when the sidecar starts, as far as it must be known before the first event is
// accepted. No file is read through: it takes a moment, however many rows there are. Any thread, before the store has
// the folder.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// The highest id of each stream.
using LastIds = std::map<std::string, StreamId, std::less<>>;

/// One journal that no writer has open.
struct JournalFile {
  int64_t number = 0;
  int64_t begun_ms = 0;
  int64_t changed_ms = 0;  // SpillFileInfo::changed_ms
  int64_t bytes = 0;
  LastIds last_ids;
  bool has_rejected = false;  // rows that Redis will not take: there is no other copy of them
  int64_t last_ticket = 0;
  int64_t lowest_origin = 0;  // the lowest first ticket of the events that were moved into it; 0: it has none
  /// Of a journal that was salvaged from a damaged one: its rows are to be looked for one by one.
  LastIds first_ids = {};
  bool salvaged() const { return !first_ids.empty(); }
};

struct JournalContents {
  LastIds committed;                             // over all files
  std::unordered_map<int64_t, int64_t> current;  // of each event that was moved: its newest ticket, by its first one
  std::vector<JournalFile> files;                // by number
};

/// `files`: all of the folder, by number. Suspect journals count like others; quarantined files, and those that are no
/// journals, are passed over. A file that cannot be read is quarantined. One that cannot be opened now (kBusy, kFull,
/// kStarved, kForbidden) is an error: nobody knows which ids it has.
Result<JournalContents> ReadJournals(const SpillFolder& folder, std::span<const SpillFileInfo> files);

/// Of one journal; not which events were moved into it.
Result<JournalFile> ReadJournal(SpillFile& journal);

}  // namespace sprockets
