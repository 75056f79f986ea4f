// What archive decides without a server: rows, sizes of reads, whose fault an error is, what is new, who is poison.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "replayer/archive/bisection.h"
#include "replayer/archive/broken_json.h"
#include "replayer/archive/entry_rows.h"
#include "replayer/archive/read_size.h"
#include "replayer/archive/sort_out.h"
#include "replayer/archive/sql_state.h"
#include "replayer/postgres/binary.h"

namespace sprockets::testing {
namespace {

using Views = std::vector<std::string_view>;

EntryBatch BatchOf(const std::vector<std::pair<StreamId, Views>>& entries) {
  EntryBatch batch;
  batch.stream = "s";
  for (const auto& [id, fields] : entries) AppendEntry(batch, id, fields, "event_id", 0);
  return batch;
}

TEST_CASE("fields are an object of texts, unless jsonb cannot say them", "[archive]") {
  CHECK(JsonOfFields(Views{"a", "1", "b", "\"\n"}) == R"({"a":"1","b":"\"\n"})");
  CHECK(JsonOfFields(Views{"a", std::string_view("\0", 1)}) == std::nullopt);
  CHECK(JsonOfFields(Views{"\xff", "1"}) == std::nullopt);
  CHECK(JsonOfFields(Views{"a", "1", "a", "1"}) == std::nullopt);
  Views many;
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("f" + std::to_string(i));
  for (const std::string& name : names) many.insert(many.end(), {name, "v"});
  CHECK(JsonOfFields(many).has_value());
  many.insert(many.end(), {"f17", "again"});
  CHECK(JsonOfFields(many) == std::nullopt);
}

TEST_CASE("an entry's time is that of its id, where that is a time", "[archive]") {
  constexpr int64_t kNow = 1'800'000'000'000;
  CHECK(ReceivedMs({1'700'000'000'000, 3}, kNow) == 1'700'000'000'000);
  CHECK(ReceivedMs({0, 17}, kNow) == kNow);
  CHECK(ReceivedMs({18'446'744'073'709'551'615u, 0}, kNow) == kNow);
}

TEST_CASE("the event's id is the first field of that name, and any bytes of up to 256", "[archive]") {
  CHECK(EventIdOf(Views{"x", "1"}, "event_id") == std::nullopt);
  CHECK(EventIdOf(Views{"event_id", "a", "event_id", "b"}, "event_id") == "a");
  CHECK(EventIdOf(Views{"event_id", ""}, "event_id") == std::nullopt);
  CHECK(EventIdOf(Views{"event_id", "\xff\x01"}, "event_id") == "\\xff01");
  const std::string long_id(257, 'x');
  CHECK(EventIdOf(Views{"event_id", long_id}, "event_id") == std::nullopt);
}

TEST_CASE("a row holds the fields byte by byte, and its hash tells where they differ", "[archive]") {
  const std::string nul("\0\xff", 2);
  EntryBatch batch = BatchOf({{{1, 0}, {"a", nul, "a", "2"}}, {{2, 0}, {"a", nul, "a", "2"}}, {{3, 0}, {"aa", "2"}}});
  CHECK(FieldsOfRaw(batch.Raw(batch.entries[0])) == Views{"a", nul, "a", "2"});
  CHECK(batch.entries[0].hash == batch.entries[1].hash);
  CHECK(batch.entries[0].hash != batch.entries[2].hash);
  SetPosition(batch, batch.entries[1], 65'537);
  CHECK(PgInt8(batch.Row(batch.entries[1]).substr(6)) == 65'537);
  CHECK(PgInt8(batch.Row(batch.entries[0]).substr(6)) == 0);
  CHECK(DescribeRaw(batch.Raw(batch.entries[0])) == "a=\\x00\\xff a=2");
}

TEST_CASE("an entry is new if neither its id nor its event id is known, and a conflict if its payload is another",
          "[archive]") {
  const EntryBatch batch = BatchOf({{{1, 0}, {"v", "known"}},
                                    {{2, 0}, {"v", "other than known"}},
                                    {{3, 0}, {"event_id", "e", "v", "known"}},
                                    {{4, 0}, {"event_id", "e", "v", "other"}},
                                    {{5, 0}, {"event_id", "f", "v", "1"}},
                                    {{6, 0}, {"event_id", "f", "v", "1"}},
                                    {{7, 0}, {"event_id", "f", "v", "2"}}});
  const EntryBatch log =
      BatchOf({{{1, 0}, {"v", "known"}}, {{2, 0}, {"v", "known"}}, {{9, 9}, {"event_id", "e", "v", "known"}}});
  std::vector<KnownEntry> known;
  for (const ArchiveEntry& entry : log.entries) known.push_back({entry.id, entry.event_id, entry.hash});
  const std::vector<Fate> fates = SortOut(batch.entries, known);
  CHECK(fates == std::vector{Fate::kKnown, Fate::kConflict, Fate::kRepeat, Fate::kConflict, Fate::kNew, Fate::kRepeat,
                             Fate::kConflict});
}

TEST_CASE("the SQLSTATE says whose fault it is", "[archive]") {
  const auto fault = [](const char* sqlstate) { return FaultOf({ErrorCode::kRefused, "", sqlstate}); };
  for (const char* state : {"22P02", "23505", "P0001", "21000", "54000"}) CHECK(fault(state) == SqlFault::kEntry);
  for (const char* state : {"08006", "40P01", "53100", "57P01", "58030", "55P03", "25006"})
    CHECK(fault(state) == SqlFault::kPasses);
  for (const char* state : {"42703", "42P01", "42501", "0A000", "XX000", "25P02"})
    CHECK(fault(state) == SqlFault::kSet);
  CHECK(FaultOf({ErrorCode::kUnreachable, ""}) == SqlFault::kPasses);
  CHECK(FaultOf({ErrorCode::kRefused, ""}) == SqlFault::kSet);
}

/// Which entries go through, in order, and how often was something tried?
struct Tried {
  std::vector<size_t> through;
  std::vector<size_t> poison;
  int tries = 0;
};

Tried BisectAll(size_t size, const std::vector<bool>& is_poison) {
  Tried tried;
  Bisection bisection(size, true);
  while (const auto range = bisection.Next()) {
    ++tried.tries;
    bool fine = true;
    for (size_t i = range->begin; i < range->end; ++i) fine = fine && !is_poison[i];
    for (size_t i = range->begin; fine && i < range->end; ++i) tried.through.push_back(i);
    bisection.Take(fine);
  }
  tried.poison = bisection.poison();
  return tried;
}

TEST_CASE("halving finds every poisonous entry and lets the others through in order", "[archive]") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::srand(seed);
    const size_t size = 1 + static_cast<size_t>(std::rand()) % 60;
    std::vector<bool> is_poison(size, false);
    std::vector<size_t> poison;
    std::vector<size_t> fine;
    const int share = std::rand() % 100;
    for (size_t i = 0; i < size; ++i) {
      is_poison[i] = std::rand() % 100 < share;
      (is_poison[i] ? poison : fine).push_back(i);
    }
    if (poison.empty()) continue;
    const Tried tried = BisectAll(size, is_poison);
    CHECK(tried.through == fine);
    CHECK(tried.poison == poison);
    CHECK(static_cast<size_t>(tried.tries) <= 2 * size);
  }
  std::vector<bool> one(1'000, false);
  one[613] = true;
  CHECK(BisectAll(1'000, one).tries <= 20);
}

TEST_CASE("reads grow towards their bytes, and shrink at once", "[archive]") {
  ReadSize size(5'000, 2 << 20);
  CHECK(size.Count() == 16);
  size.Learn(16 * 300, 16);
  CHECK(size.Count() == 64);
  for (int i = 0; i < 5; ++i) size.Learn(static_cast<size_t>(size.Count()) * 300, static_cast<size_t>(size.Count()));
  CHECK(size.Count() == 5'000);
  size.Learn(size_t{5'000} << 20, 5'000);
  CHECK(size.Count() == 2);
  size.Learn(size_t{100} << 20, 2);
  CHECK(size.Count() == 1);
  size.Learn(0, 0);
  CHECK(size.Count() == 1);
}

TEST_CASE("a field that a handler wants as JSON is looked at before SQL", "[archive]") {
  ArchiveHandler handler;
  handler.name = "10_typed.sql";
  handler.json_fields = {"data"};
  const std::vector<const ArchiveHandler*> handlers{&handler};
  CHECK_FALSE(FindBrokenJson(Views{"data", R"({"a":18446744073709551616})"}, handlers));
  CHECK_FALSE(FindBrokenJson(Views{"other", "{"}, handlers));
  const auto broken = FindBrokenJson(Views{"x", "1", "data", "{\"a\":"}, handlers);
  REQUIRE(broken);
  CHECK(broken->handler == "10_typed.sql");
  CHECK(FindBrokenJson(Views{"data", ""}, handlers));
}

}  // namespace
}  // namespace sprockets::testing
