// Which entries of a batch are new, and which the log has already. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "replayer/archive/entry_rows.h"

namespace sprockets {

/// A row of the log, or of the repeats, that has the id or the event id of an entry of the batch.
struct KnownEntry {
  StreamId id;
  std::optional<std::string> event_id;
  PayloadHash hash{};
};

enum class Fate {
  kNew,
  kKnown,     // the log has it, or the batch has it before: to be acknowledged
  kRepeat,    // the log, or the batch before it, has its event under another id: no news, but it stands in the stream
  kConflict,  // its id or its event id is known with another payload: to be kept, and told
};

/// One for each entry. `known` are all rows of the stream that concern the batch.
std::vector<Fate> SortOut(std::span<const ArchiveEntry> entries, std::span<const KnownEntry> known);

}  // namespace sprockets
