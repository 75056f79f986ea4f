#include "replayer/archive/sort_out.h"

#include <map>
#include <string_view>

namespace sprockets {

std::vector<Fate> SortOut(std::span<const ArchiveEntry> entries, std::span<const KnownEntry> known) {
  std::map<StreamId, PayloadHash> by_id;
  std::map<std::string_view, PayloadHash> by_event_id;
  for (const KnownEntry& row : known) {
    by_id.emplace(row.id, row.hash);
    if (row.event_id) by_event_id.emplace(*row.event_id, row.hash);
  }
  std::vector<Fate> fates;
  fates.reserve(entries.size());
  for (const ArchiveEntry& entry : entries) {
    const auto same_id = by_id.find(entry.id);
    const auto same_event = entry.event_id ? by_event_id.find(*entry.event_id) : by_event_id.end();
    const bool id_known = same_id != by_id.end();
    const bool event_known = same_event != by_event_id.end();
    if (!id_known && !event_known) {
      fates.push_back(Fate::kNew);
      by_id.emplace(entry.id, entry.hash);
      if (entry.event_id) by_event_id.emplace(*entry.event_id, entry.hash);
      continue;
    }
    const bool differs =
        (id_known && same_id->second != entry.hash) || (event_known && same_event->second != entry.hash);
    fates.push_back(differs ? Fate::kConflict : id_known ? Fate::kKnown : Fate::kRepeat);
    if (fates.back() == Fate::kRepeat) by_id.emplace(entry.id, entry.hash);
  }
  return fates;
}

}  // namespace sprockets
