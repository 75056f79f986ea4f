// The drain beside a Redis in trouble: refused streams, no memory, connections that break, events that break them.
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/replayer/drain/drain_fixture.h"

namespace sprockets::testing {
namespace {

TEST_CASE("a stream of another type stops alone, in this file and all later ones") {
  Stage stage;
  stage.redis.Text({"SET", "broken", "x"});
  WriteSpillFile(stage.folder, {Event("broken", "b0"), Event("fine", "f0")});
  WriteSpillFile(stage.folder, {Event("broken", "b1"), Event("fine", "f1")});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["left"] == 2);
  CHECK(run.json["result"] == "left");
  CHECK((EventIds(stage.redis, "fine") == Strings{"f0", "f1"}));
  stage.redis.Text({"DEL", "broken"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "broken") == Strings{"b0", "b1"}));
}

TEST_CASE("a stream that is refused only when it is written stops alone, and its open range is finished later") {
  Stage stage;
  stage.redis.Text({"ACL", "SETUSER", "default", "resetkeys", "~fine", "%R~*"});
  WriteSpillFile(stage.folder, {Event("denied", "d0"), Event("fine", "f0")});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK((EventIds(stage.redis, "fine") == Strings{"f0"}));
  stage.redis.Text({"ACL", "SETUSER", "default", "~*"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "denied") == Strings{"d0"}));
}

TEST_CASE("a Redis out of memory keeps the batch open and takes it when it is healed") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 1000));
  stage.redis.Text({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  stage.redis.Text({"CONFIG", "SET", "maxmemory", "100kb"});
  std::thread healer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    stage.redis.Text({"CONFIG", "SET", "maxmemory", "0"});
  });
  const Run run = stage.Drain();
  healer.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(1000)));
}

TEST_CASE("a Redis that stays out of memory leaves everything for the next drain") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 10));
  stage.redis.Text({"CONFIG", "SET", "maxmemory", "100kb"});
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["left"] == 10);
  stage.redis.Text({"CONFIG", "SET", "maxmemory", "0"});
  CHECK(stage.Drain().exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(10)));
}

TEST_CASE("connections that break in mid-drain cost nothing but time") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 60'000));
  std::atomic<bool> done = false;
  std::thread killer([&] {
    while (!done && stage.redis.LastId("s") == kStreamBegin) {  // a first connection that breaks is an error
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (int i = 0; i < 5 && !done; ++i) {
      stage.redis.Text({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    }
  });
  const Run run = stage.Drain();
  done = true;
  killer.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(60'000)));
}

TEST_CASE("a Redis killed in mid-drain and started again gets the rest, each event once") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 60'000));
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    stage.redis.Kill9();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stage.redis.Start();
  });
  const Run run = stage.Drain();
  killer.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(60'000)));
}

TEST_CASE("a hung Redis is waited for, and what it applies late is not sent twice") {
  Stage stage;
  WriteSpillFile(stage.folder, Many("s", 60'000));
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    stage.redis.Signal(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(7000));
    stage.redis.Signal(SIGCONT);
  });
  const Run run = stage.Drain();
  stopper.join();
  CHECK(run.exit_code == 0);
  CHECK((EventIds(stage.redis, "s") == Ids(60'000)));
}

TEST_CASE("an event that breaks every connection is kept aside and the others land") {
  Stage stage;
  stage.redis.Text({"CONFIG", "SET", "proto-max-bulk-len", "1mb"});
  std::vector<TestEvent> events = Many("s", 40);
  events[20].fields.back() = std::string(2 * 1024 * 1024, 'x');
  WriteSpillFile(stage.folder, events);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 1);
  CHECK(run.json["rejected"] == 1);
  CHECK(run.json["result"] == "rejected");
  Strings expected = Ids(40);
  expected.erase(expected.begin() + 20);
  CHECK((EventIds(stage.redis, "s") == expected));
  SECTION("its file is not removed, however old") {
    CHECK(stage.Drain({"--keep", "0"}).exit_code == 1);
    REQUIRE(stage.Files().size() == 1);
  }
  SECTION("offered again when the cause is gone, it lands") {
    stage.redis.Text({"CONFIG", "SET", "proto-max-bulk-len", "512mb"});
    const Run again = stage.Drain({"--file", stage.Files().front().path.native()});
    CHECK(again.exit_code == 0);
    CHECK(again.json["already_there"] == 39);
    CHECK(again.json["landed"] == 1);
  }
}

}  // namespace
}  // namespace sprockets::testing
