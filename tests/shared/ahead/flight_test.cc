// What the answers to a transaction mean for each of its streams.
#include "shared/ahead/flight.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/ahead/entry_id.h"

namespace sprockets {
namespace {

const Incarnation kServer{"run", "repl"};

RedisAnswer Said(std::string_view text) {
  RedisAnswer answer;
  answer.kind = text.starts_with('-') ? RedisAnswer::Kind::kError : RedisAnswer::Kind::kText;
  answer.text = text.starts_with('-') ? text.substr(1) : text;
  return answer;
}

/// Two rows of one stream and one of another.
struct Streams {
  Streams() {
    StreamId id{};
    for (AheadStream* stream : {&one, &one, &other}) {
      EventView event;
      event.stream = stream->name;
      event.fields = {"f", "1", "event_id", "e"};
      event.event_id_at = 3;
      id = *NextEntryId(7, id, 10);
      stream->rows.Add(JournalRow::Of(static_cast<int64_t>(id.seq), static_cast<int64_t>(id.seq), id, event));
    }
  }
  AheadStream one{"one", kStreamBegin};
  AheadStream other{"other", kStreamBegin};
};

Flight FlightOf(Streams& streams) {
  Flight flight(/*guarded=*/true);
  REQUIRE(flight.Add(streams.one, {}));
  REQUIRE(flight.Add(streams.other, {}));
  REQUIRE(flight.rows() == 3);
  return flight;
}

Flight::Outcome Give(Flight& flight, const std::vector<std::string_view>& queued, const RedisAnswer& exec,
                     std::string_view info = "role:master\r\nmaster_replid:repl\r\n") {
  std::vector<RedisAnswer> answers = {Said("OK")};
  for (const std::string_view each : queued) answers.push_back(Said(each));
  answers.push_back(exec);
  answers.push_back(Said("OK"));
  answers.push_back(Said(info));
  REQUIRE(answers.size() == flight.answers());
  for (const RedisAnswer& answer : answers) {
    const Flight::Outcome outcome = flight.TakeAnswer(answer, kServer);
    if (outcome != Flight::Outcome::kUnderWay) return outcome;
  }
  return Flight::Outcome::kUnderWay;
}

RedisAnswer Results(const std::vector<std::string_view>& each) {
  RedisAnswer answer;
  answer.kind = RedisAnswer::Kind::kArray;
  for (const std::string_view text : each) answer.elements.push_back(Said(text));
  return answer;
}

constexpr std::string_view kQueued = "QUEUED";
constexpr std::string_view kTooLow =
    "-ERR The ID specified in XADD is equal or smaller than the target stream top item";
using Part = Flight::Part::Outcome;

TEST_CASE("a flight whose rows were all added has landed") {
  Streams streams;
  Flight flight = FlightOf(streams);
  CHECK(Give(flight, {kQueued, kQueued, kQueued}, Results({"10-1", "10-2", "10-3"})) == Flight::Outcome::kDone);
  for (const Flight::Part& part : flight.parts()) CHECK(part.outcome == Part::kLanded);
}

TEST_CASE(
    "rows that are too low landed earlier if others of their stream were added, and are to be placed if none was") {
  Streams streams;
  Flight flight = FlightOf(streams);
  CHECK(Give(flight, {kQueued, kQueued, kQueued}, Results({kTooLow, "10-2", kTooLow})) == Flight::Outcome::kDone);
  CHECK(flight.parts()[0].outcome == Part::kLanded);
  CHECK(flight.parts()[1].outcome == Part::kTooLow);
}

TEST_CASE("a row that Redis will not have is named, and a stream of another type is refused alone") {
  Streams streams;
  Flight flight = FlightOf(streams);
  CHECK(Give(flight, {kQueued, kQueued, kQueued},
             Results({"10-1", "-ERR too large for this server", "-WRONGTYPE no stream"})) == Flight::Outcome::kDone);
  CHECK(flight.parts()[0].outcome == Part::kLanded);
  REQUIRE(flight.parts()[0].rejected.size() == 1);
  CHECK(flight.parts()[0].rejected[0].first == 1);
  CHECK(flight.parts()[1].outcome == Part::kRefused);
}

TEST_CASE("a full server takes nothing, and the same rows come again") {
  Streams streams;
  Flight flight = FlightOf(streams);
  CHECK(Give(flight, {kQueued, "-OOM command not allowed", kQueued}, Said("-EXECABORT discarded")) ==
        Flight::Outcome::kLater);
}

TEST_CASE("a stream that this user may not write is left out, and nothing was applied") {
  Streams streams;
  Flight flight = FlightOf(streams);
  CHECK(Give(flight, {kQueued, kQueued, "-NOPERM no"}, Said("-EXECABORT discarded")) == Flight::Outcome::kDone);
  CHECK(flight.parts()[0].outcome == Part::kNotApplied);
  CHECK(flight.parts()[1].outcome == Part::kRefused);
}

TEST_CASE("whatever says that this is not the server any more that was placed ends the connection") {
  Streams streams;
  const std::vector<std::string_view> queued = {kQueued, kQueued, kQueued};
  const RedisAnswer added = Results({"10-1", "10-2", "10-3"});
  Flight replaced = FlightOf(streams);
  CHECK(Give(replaced, queued, RedisAnswer()) == Flight::Outcome::kBroken);
  Flight replica = FlightOf(streams);
  CHECK(Give(replica, {"-READONLY replica", kQueued, kQueued}, Said("-EXECABORT discarded")) ==
        Flight::Outcome::kBroken);
  Flight promoted = FlightOf(streams);
  CHECK(Give(promoted, queued, added, "role:master\r\nmaster_replid:other\r\n") == Flight::Outcome::kBroken);
  Flight demoted = FlightOf(streams);
  CHECK(Give(demoted, queued, added, "role:slave\r\nmaster_replid:repl\r\n") == Flight::Outcome::kBroken);
  Flight strange = FlightOf(streams);
  CHECK(Give(strange, queued, Results({"10-1"})) == Flight::Outcome::kBroken);
  Flight nothing = FlightOf(streams);
  RedisAnswer with_nil = added;
  with_nil.elements[1] = RedisAnswer();
  CHECK(Give(nothing, queued, with_nil) == Flight::Outcome::kBroken);
}

TEST_CASE("a flight holds no more than it may, but always one row") {
  Streams streams;
  Flight flight(/*guarded=*/true);
  REQUIRE(flight.Add(streams.one, {.rows = 1, .bytes = 0}));
  CHECK(flight.rows() == 1);
  CHECK(!flight.Add(streams.other, {.rows = 1, .bytes = 0}));
}

}  // namespace
}  // namespace sprockets
