// What STATUS and INFO say of what is known.
#include "sidecar/admin/status.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace sprockets {
namespace {

Router IdleRouter() {
  return Router(RouterOptions(), IdentityHasher(), RouterSinks{nullptr, nullptr, nullptr});
}

TEST_CASE("STATUS says how old its view of the folder is, and null before there was one") {
  const Router router = IdleRouter();
  const auto age = [&](std::optional<WallTime> described) {
    return nlohmann::json::parse(
               StatusJson(router, RedisFacts(), SpillReport(), SkipFacts(), described, WallTime{5'000}))
        .at("report_age_ms");
  };
  CHECK(age(std::nullopt).is_null());
  CHECK(age(WallTime{4'000}) == 1'000);
}

TEST_CASE("STATUS gives no number of rows where it is not known, and survives names that are no UTF-8") {
  const Router router = IdleRouter();
  SpillReport spill;
  spill.files = {{"spill-000001.sealed.sqlite", -1, 10, 0}, {"spill-000002.sealed.sqlite", 7, 20, 3}};
  RedisFacts redis;
  redis.last_error = "WRONGTYPE \xff";
  const auto status = nlohmann::json::parse(StatusJson(router, redis, spill, SkipFacts(), std::nullopt, WallTime{1}));
  CHECK(status.at("spill").at("files").at(0).at("rows").is_null());
  CHECK(status.at("spill").at("files").at(1).at("rows") == 7);
  CHECK(status.at("redis").at("state") == "disconnected");
}

TEST_CASE("our section of INFO is lines of names and values") {
  CHECK(InfoSection(IdleRouter(), 3, 2) ==
        "mode:redis\r\nbreaker:open\r\naccepted:0\r\nlanded:0\r\nspilled:0\r\nin_doubt:0\r\nspill_rows_active:3\r\n"
        "skipped_keys:2\r\n");
}

}  // namespace
}  // namespace sprockets
