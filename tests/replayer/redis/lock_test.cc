#include "replayer/redis/lock.h"

#include <chrono>
#include <thread>

#include <catch2/catch.hpp>

#include "shared/redis/url.h"
#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

using namespace std::chrono_literals;

TEST_CASE(
    "a lock that Redis has not confirmed for as long as it lives is not relied on; one that somebody took is lost") {
  Stage stage;
  const RedisUrl url = ParseRedisUrl("unix://" + stage.redis.socket_path().native()).value();
  auto lock = RedisLock::Take(url, 30'000);
  REQUIRE(lock.ok());
  CHECK(lock.value()->Check().ok());
  REQUIRE(stage.redis.Text({"CLIENT", "PAUSE", "4500", "ALL"}) == "OK");
  std::this_thread::sleep_for(4s);
  CHECK_FALSE(lock.value()->Check().ok());
  std::this_thread::sleep_for(1500ms);
  CHECK(lock.value()->Check().ok());  // it has answered, and nobody has come between
  REQUIRE(stage.redis.Text({"SET", "sprockets:rebuild:lock", "another"}) == "OK");
  std::this_thread::sleep_for(1s);
  CHECK_FALSE(lock.value()->Check().ok());
  lock.value().reset();
  CHECK(stage.redis.Text({"GET", "sprockets:rebuild:lock"}) == "another");
}

}  // namespace
}  // namespace sprockets::testing
