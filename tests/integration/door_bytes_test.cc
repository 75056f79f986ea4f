// Names and values of every kind of bytes, through the door into Redis and out of the drain.
#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/careful_client.h"
#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

std::vector<Event> NastyEvents() {
  std::vector<Event> events;
  const auto add = [&](std::string stream, std::vector<std::string> fields) {
    fields.insert(fields.end(), {"n", std::to_string(events.size())});  // no two payloads are the same
    events.push_back({.stream = std::move(stream), .event_id = {}, .fields = std::move(fields)});
  };
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes.push_back(static_cast<char>(byte));
  const std::vector<std::string> streams = {
      "plain",
      "with \"quotes\" and 'others'",
      "nul\0inside"s,
      "new\r\nline",
      "sqlite_master",
      "sqlite_anything",
      "Bounty",
      "bounty",
      "BOUNTY",
      "_catalogue",
      "select",
      "a;drop table x;--",
      "çelik",
      all_bytes,
      std::string(1024, 's'),
      " ",
      "streams",
      "catalogue",
      "connections",
  };
  for (const std::string& stream : streams) {
    add(stream, {"data", "first layout"});
    add(stream, {"data", all_bytes});
    add(stream, {"other", "layout"});
    add(stream, {"data", "1", "data", "2", "data", "1"});
  }
  add("fields", {"_ticket", "1", "_raw", "2", "_checksum", "3"});
  add("fields", {"Data", "1", "data", "2", "DATA", "3"});
  add("fields", {"", "an empty name", "", ""});
  add("fields", {"with \"quotes\"", "1", "nul\0"s, "2", all_bytes, "3", "rowid", "4", "oid", "5"});
  add("numbers", {"data", "18446744073709551616", "x", "1e400", "y", "007", "z", "-0"});
  add("empty", {"data", ""});
  add("large", {"data", std::string((1 << 20) - 1000, 'x')});
  std::vector<std::string> wide;
  for (int i = 0; i < 1000; ++i) wide.insert(wide.end(), {"field" + std::to_string(i), std::to_string(i)});
  add("wide", wide);
  std::vector<std::string> widest;
  for (int i = 0; i < 4000; ++i) widest.insert(widest.end(), {"field" + std::to_string(i), "v"});
  add("widest", widest);

  for (const std::string& id : {"with\r\nCRLF"s, "nul\0"s, all_bytes, "\"quoted\" id"s, std::string(256, 'i')}) {
    add("ids", {"event_id", id, "data", "x"});
    events.back().event_id = id;
  }
  add("ids", {"data", "y", "event_id", "the first one counts", "event_id", "not this one"});
  events.back().event_id = "the first one counts";
  return events;
}

void CheckNastyEvents(bool redis_up) {
  // What this is about is not how long a busy machine takes for megabytes.
  Stack stack({.redis_up = redis_up, .sidecar_options = {"--redis-timeout", "5s"}});
  Ledger ledger;
  CarefulClient client(stack.sidecar.socket_path(), ledger);
  const std::vector<Event> events = NastyEvents();
  const CarefulClient::Counts counts = client.Send(events);
  CHECK(counts.retried == 0);
  CHECK((redis_up ? counts.landed : counts.spilled) == events.size());
  if (!redis_up) stack.RestartRedis();
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  RespClient redis = stack.redis.Connect();
  const auto comparison = ledger.Compare(redis);
  INFO(comparison.ToString());
  CHECK(comparison.ExactlyOnce());
}

TEST_CASE("whatever a name or a value is made of, it lands byte for byte", "[door_bytes]") {
  CheckNastyEvents(true);
}
TEST_CASE("whatever a name or a value is made of, it comes out of the drain byte for byte", "[door_bytes]") {
  CheckNastyEvents(false);
}

// ---- Order, and who has to wait

}  // namespace
}  // namespace sprockets::harness
