#include "shared/spill/layout.h"

#include <catch2/catch.hpp>

#include "shared/redis/resp.h"
#include "shared/spill/file.h"
#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using sprockets::testing::OwnedEvent;

namespace {

uint32_t ChecksumOf(const OwnedEvent& event, int64_t ticket = 1, int64_t received_ms = 2,
                    const Doubt* doubt = nullptr) {
  const EventView view = event.View();
  return ChecksumOfRow(ChecksumOfNames(view), ticket, received_ms, view, doubt);
}

const OwnedEvent kEvent{"s", {"a", "1", "event_id", "id", "b", "2"}, {"MAXLEN", "10"}};

}  // namespace

TEST_CASE("a name that SQLite or people would stumble over is no table name") {
  const std::string with_nul("a\0b", 3);
  CHECK_FALSE(IsTableName(""));
  CHECK_FALSE(IsTableName(with_nul));
  CHECK_FALSE(IsTableName("_file"));
  CHECK_FALSE(IsTableName("sqlite_x"));
  CHECK_FALSE(IsTableName("SQLite_x"));
  CHECK_FALSE(IsTableName("\xff"));
  CHECK_FALSE(IsTableName(std::string(kMaxSqlNameBytes + 1, 'a')));
  CHECK(IsTableName(std::string(kMaxSqlNameBytes, 'a')));
  CHECK(IsTableName("a\"b'c;\n--"));
  CHECK(IsTableName("select"));
  CHECK(IsTableName("Bäume"));
  CHECK(IsColumnName("sqlite_x"));
}

TEST_CASE("names fold as SQLite folds them: ASCII letters only") {
  CHECK(FoldSqlName("BoUnTy-1") == "bounty-1");
  CHECK(FoldSqlName("Ä") == "Ä");
}

TEST_CASE("fields that cannot be columns have no layout") {
  const auto layout_of = [](std::vector<std::string> fields) {
    fields.insert(fields.end(), {"event_id", "1"});
    return FieldLayout::Of(OwnedEvent{"s", fields, {}}.View());
  };
  CHECK(layout_of({"a", "1", "b", "2"}));
  CHECK(layout_of({}));
  CHECK_FALSE(layout_of({"a", "1", "a", "2"}));
  CHECK_FALSE(layout_of({"a", "1", "A", "2"}));
  CHECK_FALSE(layout_of({"Event_Id", "1"}));
  CHECK_FALSE(layout_of({"_ticket", "1"}));
  CHECK_FALSE(layout_of({"", "1"}));
  CHECK_FALSE(layout_of({"\xff", "1"}));
  CHECK_FALSE(FieldLayout::Of(OwnedEvent{"s", {"event_id", "1", "event_id", "2"}, {}}.View()));
}

TEST_CASE("64 fields are columns, 65 are not") {
  std::vector<std::string> fields{"event_id", "1"};
  for (size_t i = 0; i < kMaxFieldColumns; ++i) fields.insert(fields.end(), {"f" + std::to_string(i), "v"});
  CHECK(FieldLayout::Of(OwnedEvent{"s", fields, {}}.View()));
  fields.insert(fields.end(), {"one more", "v"});
  CHECK_FALSE(FieldLayout::Of(OwnedEvent{"s", fields, {}}.View()));
}

TEST_CASE("an event of other fields, in another order or with its id elsewhere does not fit") {
  const auto layout = FieldLayout::Of(kEvent.View());
  REQUIRE(layout);
  CHECK(layout->Fits(OwnedEvent{"s", {"a", "x", "event_id", "y", "b", "z"}, {}}.View()));
  CHECK_FALSE(layout->Fits(OwnedEvent{"s", {"b", "x", "event_id", "y", "a", "z"}, {}}.View()));
  CHECK_FALSE(layout->Fits(OwnedEvent{"s", {"event_id", "y", "a", "x", "b", "z"}, {}}.View()));
  CHECK_FALSE(layout->Fits(OwnedEvent{"s", {"a", "x", "event_id", "y"}, {}}.View()));
  CHECK_FALSE(layout->Fits(OwnedEvent{"s", {"a", "x", "event_id", "y", "B", "z"}, {}}.View()));
}

TEST_CASE("every part of a row changes its checksum") {
  const uint32_t before = ChecksumOf(kEvent);
  const ConnectionId connection{"run", 7};
  const Doubt doubt{{5, 6}, std::nullopt};
  const Doubt other_anchor{{6, 5}, std::nullopt};
  const Doubt with_connection{{5, 6}, connection};
  CHECK(before == ChecksumOf(kEvent));
  CHECK(before != ChecksumOf(kEvent, 2));
  CHECK(before != ChecksumOf(kEvent, 1, 3));
  CHECK(before != ChecksumOf(kEvent, 1, 2, &doubt));
  CHECK(ChecksumOf(kEvent, 1, 2, &doubt) != ChecksumOf(kEvent, 1, 2, &other_anchor));
  CHECK(ChecksumOf(kEvent, 1, 2, &doubt) != ChecksumOf(kEvent, 1, 2, &with_connection));
  OwnedEvent changed = kEvent;
  changed.stream = "t";
  CHECK(before != ChecksumOf(changed));
  changed = kEvent;
  changed.options.clear();
  CHECK(before != ChecksumOf(changed));
  for (size_t at = 0; at < kEvent.fields.size(); ++at) {
    if (kEvent.fields[at] == "event_id") continue;
    changed = kEvent;
    changed.fields[at] += "x";
    CHECK(before != ChecksumOf(changed));
  }
}

TEST_CASE("the id and the origin of a journal's row change its checksum, and without an id neither counts") {
  const EventView view = kEvent.View();
  const auto checksum = [&view](const std::optional<StreamId>& id, int64_t origin) {
    return ChecksumOfRow(ChecksumOfNames(view), 9, 2, view, nullptr, id, origin);
  };
  CHECK(checksum(std::nullopt, 0) == ChecksumOf(kEvent, 9));
  CHECK(checksum(StreamId{5, 6}, 0) != checksum(std::nullopt, 0));
  CHECK(checksum(StreamId{5, 6}, 0) != checksum(StreamId{6, 5}, 0));
  CHECK(checksum(StreamId{5, 6}, 0) != checksum(StreamId{5, 7}, 0));
  CHECK(checksum(StreamId{5, 6}, 0) != checksum(StreamId{5, 6}, 8));
  CHECK(checksum(std::nullopt, 0) == 3472865490);  // as in every file that was ever written
}

TEST_CASE("bytes that change sides between two values change the checksum") {
  CHECK(ChecksumOf({"s", {"event_id", "ab", "f", "c"}, {}}) != ChecksumOf({"s", {"event_id", "a", "f", "bc"}, {}}));
  CHECK(ChecksumOf({"s", {"event_id", "1", "f", ""}, {}}) != ChecksumOf({"s", {"event_id", "1"}, {}}));
  const std::string longer_than_the_buffer(5000, 'x');
  CHECK(ChecksumOf({"s", {"event_id", "1", "f", longer_than_the_buffer, "g", ""}, {}}) !=
        ChecksumOf({"s", {"event_id", "1", "f", "", "g", longer_than_the_buffer}, {}}));
}

TEST_CASE("the checksum of names is the same from the layout as from an event") {
  const EventView view = kEvent.View();
  CHECK(ChecksumOfNames(view) == ChecksumOfNames("s", *FieldLayout::Of(view)));
}

TEST_CASE("an id is the sidecar's own only as producer, dash and digits in the last field") {
  const auto is_own = [](const std::string& id) {
    return IsOwnId(OwnedEvent{"s", {"a", "1", "event_id", id}, {}}.View(), "prod");
  };
  CHECK(is_own("prod-17"));
  CHECK_FALSE(is_own("prod-"));
  CHECK_FALSE(is_own("prod-1x"));
  CHECK_FALSE(is_own("prod17"));
  CHECK_FALSE(is_own("other-17"));
  CHECK_FALSE(IsOwnId(OwnedEvent{"s", {"event_id", "prod-17", "a", "1"}, {}}.View(), "prod"));
}

TEST_CASE("words come back out of their RESP array, binary and empty ones too") {
  const std::string binary("\0\r\n$-1\xff", 8);
  const std::vector<std::string_view> words{"MAXLEN", "", binary};
  std::string encoded = "left over";
  EncodeWords(words, &encoded);
  std::vector<std::string_view> decoded;
  REQUIRE(ParseWholeCommand(encoded, &decoded));
  CHECK(decoded == words);
}
