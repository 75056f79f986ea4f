// Which connections may still deliver something, and when nobody can name them all.
#include "shared/spill/known_connections.h"

#include <catch2/catch.hpp>

#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

TEST_CASE("the live connection is the last of those that are known, and the dead are not known any more") {
  KnownConnections known;
  known.Record(kFirst, {});
  known.Record(kSecond, {});
  known.Record(kFirst, {});
  CHECK(known.listed() == std::vector{kSecond, kFirst});
  known.Record(kOtherLife, std::vector{kFirst, kSecond});
  CHECK(known.listed() == std::vector{kOtherLife});
  known.Strike(std::vector{kOtherLife});
  CHECK(known.listed().empty());
  CHECK_FALSE(known.lost());
}

TEST_CASE("lost connections are missed until the server lives another life than at the first record after the loss") {
  KnownConnections known({}, /*lost=*/true, std::nullopt);
  known.Record(kFirst, {});
  CHECK(known.lost());
  CHECK(known.lost_under() == kFirst.run_id);
  known.Record(kSecond, std::vector{kFirst});
  CHECK(known.lost());
  known.Record(kOtherLife, {});
  CHECK_FALSE(known.lost());
  CHECK_FALSE(known.lost_under());
}

TEST_CASE("a connection of a life without a name counts as lost once the life has one") {
  KnownConnections known;
  known.Record({"", 3}, {});
  CHECK_FALSE(known.lost());
  known.Record(kFirst, {});
  CHECK(known.listed() == std::vector{kFirst});
  CHECK(known.lost());
  known.Record(kOtherLife, {});
  CHECK_FALSE(known.lost());
}

TEST_CASE("of more connections than are kept, the oldest is lost") {
  KnownConnections known;
  for (size_t i = 0; i < KnownConnections::kMost; ++i) known.Record({"life-1", static_cast<int64_t>(i)}, {});
  CHECK_FALSE(known.lost());
  known.Record({"life-1", -1}, {});
  CHECK(known.listed().size() == KnownConnections::kMost);
  CHECK(known.listed().front().client_id == 1);
  CHECK(known.lost());
}
