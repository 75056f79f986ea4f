// Where in a journal an entry's row stands.
#include "shared/spill/journal_index.h"

#include <catch2/catch.hpp>

#include "tests/shared/spill/file_fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

namespace {

/// Events of two streams, with gaps between their tickets.
void WriteTwoStreams(SpillWriter& writer, const std::vector<int64_t>& tickets) {
  Must(writer.Begin());
  for (const int64_t ticket : tickets) {
    const OwnedEvent event{ticket % 2 == 0 ? "even" : "odd", {"event_id", std::to_string(ticket)}, {}};
    Must(writer.Append(ticket, 1000, event.View(), std::nullopt, {}, EntryOf(ticket)));
  }
  Must(writer.Commit());
}

}  // namespace

TEST_CASE("the last row of a stream up to an id is found whatever gaps the tickets have") {
  Fixture fixture;
  auto writer = Must(fixture.folder.CreateActive(JournalOptions()));
  WriteTwoStreams(*writer, {1, 2, 3, 7, 8, 9, 1000, 1001, 500'000, 500'001, 500'002});
  Must(writer->Seal(fixture.folder));
  SqliteFile file = fixture.OnlyFileOpened();
  const std::vector<SpilledStream> streams = Must(file.UncountedStreams());
  REQUIRE(streams.at(1).name == "even");
  const auto find = [&](StreamId id) { return Must(LastTicketUpTo(file, streams[1], id)); };
  CHECK(find({}) == 0);
  CHECK(find(EntryOf(1)) == 0);
  CHECK(find(EntryOf(2)) == 2);
  CHECK(find(EntryOf(7)) == 2);
  CHECK(find(EntryOf(999)) == 8);
  CHECK(find(EntryOf(1000)) == 1000);
  CHECK(find(EntryOf(499'999)) == 1000);
  CHECK(find(EntryOf(500'001)) == 500'000);
  CHECK(find(EntryOf(500'002)) == 500'002);
  CHECK(find({UINT64_MAX, UINT64_MAX}) == 500'002);
  CHECK(Must(LastTicketUpTo(file, streams[0], EntryOf(500'002))) == 500'001);
}

TEST_CASE("a damaged row does not keep others from being found") {
  Fixture fixture;
  auto writer = Must(fixture.folder.CreateActive(JournalOptions()));
  WriteTwoStreams(*writer, {2, 4, 6, 8});
  Must(writer->Seal(fixture.folder));
  {
    Database raw = OpenRaw(fixture.folder);
    Must(raw.Execute("UPDATE even SET _id = 'x' WHERE _ticket IN (4, 8)"));
  }
  SqliteFile file = fixture.OnlyFileOpened();
  const SpilledStream even = Must(file.UncountedStreams()).at(0);
  CHECK(Must(LastTicketUpTo(file, even, EntryOf(5))) == 2);
  CHECK(Must(LastTicketUpTo(file, even, EntryOf(7))) == 6);
  CHECK(Must(LastTicketUpTo(file, even, EntryOf(9))) == 6);
}
