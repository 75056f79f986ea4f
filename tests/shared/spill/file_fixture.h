// What the tests of spill files share.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "shared/spill/disk_folder.h"
#include "shared/spill/sqlite.h"
#include "shared/spill/sqlite_file.h"
#include "tests/shared/spill/fixture.h"

namespace sprockets::testing {

struct Fixture {
  TemporaryFolder temporary;
  DiskFolder folder = Must(DiskFolder::Open(temporary.path() / "spill"));

  std::unique_ptr<SpillWriter> Writer(int64_t number = 1) const {
    return Must(folder.CreateActive(WriterOptions(number)));
  }
  void SpillAndSeal(const std::vector<OwnedEvent>& events) const {
    auto writer = Writer();
    Spill(*writer, events);
    Must(writer->Seal(folder));
  }
  SqliteFile OnlyFileOpened() const { return Must(SqliteFile::Open(OnlyFile(folder))); }
};

/// Opens a spill file past all of its guards.
inline Database OpenRaw(const SpillFolder& folder) {
  Database::Options options;
  options.application_id = kSpillApplicationId;
  options.user_version = kJournalFormatVersion;
  return Must(Database::Open(OnlyFile(folder).path, options));
}

inline std::vector<OwnedEvent> Bounties(int count) {
  std::vector<OwnedEvent> events;
  for (int i = 1; i <= count; ++i) events.push_back(Bounty(i));
  return events;
}

inline void CheckRoundTrip(const std::vector<OwnedEvent>& events) {
  Fixture fixture;
  fixture.SpillAndSeal(events);
  SqliteFile file = fixture.OnlyFileOpened();
  Must(file.Verify());
  const std::vector<OwnedRow> rows = ReadAll(file);
  REQUIRE(rows.size() == events.size());
  for (const OwnedRow& row : rows) {
    const OwnedEvent& event = events.at(static_cast<size_t>(row.ticket - 1));
    CHECK(row.event == event);
    CHECK(row.event_id_at == event.View().event_id_at);
  }
}

}  // namespace sprockets::testing
