// What STATUS and INFO say of what is known.
#include "sidecar/admin/status.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace sprockets {
namespace {

DeliveryFacts IdleDelivery() {
  DeliveryFacts facts;
  facts.mode = "redis";
  facts.counters = {{"accepted", 5}, {"landed", 4}};
  return facts;
}

TEST_CASE("STATUS says how old its view of the folder is, and null before there was one") {
  const auto age = [&](std::optional<WallTime> described) {
    return nlohmann::json::parse(
               StatusJson(IdleDelivery(), RelayFacts(), SpillReport(), SkipFacts(), described, WallTime{5'000}))
        .at("report_age_ms");
  };
  CHECK(age(std::nullopt).is_null());
  CHECK(age(WallTime{4'000}) == 1'000);
}

TEST_CASE("STATUS gives no number of rows where it is not known, and survives names that are no UTF-8") {
  SpillReport spill;
  spill.files = {{"spill-000001.sealed.sqlite", -1, 10, 0}, {"spill-000002.sealed.sqlite", 7, 20, 3}};
  DeliveryFacts delivery = IdleDelivery();
  delivery.redis.last_error = "WRONGTYPE \xff";
  const auto status =
      nlohmann::json::parse(StatusJson(delivery, RelayFacts(), spill, SkipFacts(), std::nullopt, WallTime{1}));
  CHECK(status.at("spill").at("files").at(0).at("rows").is_null());
  CHECK(status.at("spill").at("files").at(1).at("rows") == 7);
  CHECK(status.at("redis").at("state") == "disconnected");
  CHECK(!status.contains("journal"));
}

TEST_CASE("STATUS of --ack disk says how far each stream is behind") {
  DeliveryFacts delivery = IdleDelivery();
  delivery.mode = "disk";
  delivery.journal.emplace();
  delivery.journal->streams = {{"s", {20, 65536}, {10, 65536}, ""}};
  delivery.journal->lag_ms = 10;
  const auto status =
      nlohmann::json::parse(StatusJson(delivery, RelayFacts(), SpillReport(), SkipFacts(), std::nullopt, WallTime{1}));
  CHECK(status.at("mode") == "disk");
  CHECK(status.at("journal").at("lag_ms") == 10);
  CHECK(status.at("journal").at("behind").at(0).at("landed") == "10-65536");
}

TEST_CASE("our section of INFO is lines of names and values") {
  CHECK(InfoSection(IdleDelivery(), 3, 2) ==
        "mode:redis\r\nbreaker:open\r\naccepted:5\r\nlanded:4\r\nspill_rows_active:3\r\nskipped_keys:2\r\n");
}

}  // namespace
}  // namespace sprockets
