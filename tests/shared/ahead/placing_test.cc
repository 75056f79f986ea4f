// What landed, by what Redis says of a stream.
#include "shared/ahead/placing.h"

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

const std::vector<EntryTag> kTags = {7};

StreamId Ours(uint64_t ms) {
  return *NextEntryId(7, {ms, 0}, ms);
}

RedisAnswer TextAnswer(std::string_view text) {
  RedisAnswer answer;
  answer.kind = RedisAnswer::Kind::kText;
  answer.text = text;
  return answer;
}
RedisAnswer NumberAnswer(int64_t value) {
  RedisAnswer answer;
  answer.kind = RedisAnswer::Kind::kInteger;
  answer.integer = value;
  return answer;
}
RedisAnswer ListAnswer(std::vector<RedisAnswer> elements) {
  RedisAnswer answer;
  answer.kind = RedisAnswer::Kind::kArray;
  answer.elements = std::move(elements);
  return answer;
}
RedisAnswer ErrorAnswer(std::string_view text) {
  RedisAnswer answer;
  answer.kind = RedisAnswer::Kind::kError;
  answer.text = text;
  return answer;
}

/// Keeps the texts that answers are views of.
class Texts {
 public:
  std::string_view operator()(StreamId id) { return texts_.emplace_back(ToString(id)); }
  RedisAnswer Xinfo(StreamId top, std::optional<StreamId> first, int64_t length, int64_t added,
                    StreamId max_deleted = {}) {
    RedisAnswer entry;
    if (first) entry = ListAnswer({TextAnswer((*this)(*first)), ListAnswer({})});
    return ListAnswer({TextAnswer("length"), NumberAnswer(length), TextAnswer("last-generated-id"),
                       TextAnswer((*this)(top)), TextAnswer("max-deleted-entry-id"), TextAnswer((*this)(max_deleted)),
                       TextAnswer("entries-added"), NumberAnswer(added), TextAnswer("first-entry"), entry});
  }

 private:
  std::deque<std::string> texts_;
};

JournalRow Row(StreamId id) {
  EventView event;
  event.stream = "s";
  event.options = {"MAXLEN", "5"};
  event.fields = {"f", "1", "event_id", "e"};
  event.event_id_at = 3;
  return JournalRow::Of(static_cast<int64_t>(id.ms), static_cast<int64_t>(id.ms), id, event);
}

TEST_CASE("a top of an earlier life that the journal does not have any more says nothing of later rows") {
  Texts texts;
  const std::vector<EntryTag> tags = {7, 8};  // the second is this life's
  // Rows up to 20 are left of earlier lives, those up to 50 came since; the top is of a row that was lost.
  Placing placing({}, kStreamBegin, Ours(50), kStreamBegin, Ours(20));
  const auto search = placing.TakeAnswer(texts.Xinfo(Ours(90), Ours(1), 3, 3), tags);
  CHECK(std::get<Placing::ReadDown>(search).above == Ours(20));
  const auto look = placing.TakePage({0, {Row(Ours(40))}, true});
  CHECK(std::get<Placing::LookUp>(look).rows.size() == 1);
  CHECK(std::holds_alternative<Placing::Ask>(placing.TakeAnswer(ListAnswer({}), tags)));
  const auto read = placing.TakeAnswer(texts.Xinfo(Ours(90), Ours(1), 3, 3), tags);
  CHECK(std::get<Placing::ReadUp>(read).above == Ours(20));
  const auto moved = placing.TakePage({0, {Row(Ours(40))}, true});
  CHECK(std::get<Placing::Move>(moved).rows.size() == 1);
}

TEST_CASE("a top of ours says that everything up to it landed, and nothing beyond the journal") {
  Texts texts;
  Placing placing({}, Ours(10), Ours(50), Ours(10), kStreamBegin);
  const auto done = placing.TakeAnswer(texts.Xinfo(Ours(30), Ours(30), 1, 9), kTags);
  CHECK(std::get<Placing::Done>(done).landed == Ours(30));

  // The journal has lost its end: what it is given from now on must not be passed.
  Placing beyond({}, Ours(10), Ours(50), Ours(10), kStreamBegin);
  const auto capped = beyond.TakeAnswer(texts.Xinfo(Ours(90), Ours(30), 1, 9), kTags);
  CHECK(std::get<Placing::Done>(capped).landed == Ours(50));
}

TEST_CASE("a stream that is missing, or ends below what has landed, has nothing more") {
  Texts texts;
  Placing missing({}, kStreamBegin, Ours(50), Ours(40), kStreamBegin);
  CHECK(std::get<Placing::Done>(missing.TakeAnswer(ErrorAnswer("ERR no such key"), kTags)).landed == kStreamBegin);
  Placing deleted({}, Ours(40), Ours(50), Ours(40), kStreamBegin);
  CHECK(std::get<Placing::Done>(deleted.TakeAnswer(texts.Xinfo({20, 0}, std::nullopt, 0, 1), kTags)).landed ==
        Ours(40));
}

TEST_CASE("a stream of another type is refused, and what is not understood breaks the connection") {
  Placing wrong({}, kStreamBegin, Ours(50), kStreamBegin, kStreamBegin);
  CHECK(std::holds_alternative<Placing::Refused>(wrong.TakeAnswer(ErrorAnswer("WRONGTYPE no stream"), kTags)));
  Placing strange({}, kStreamBegin, Ours(50), kStreamBegin, kStreamBegin);
  CHECK(std::holds_alternative<Placing::Broken>(strange.TakeAnswer(TextAnswer("OK"), kTags)));
  Placing loading({}, kStreamBegin, Ours(50), kStreamBegin, kStreamBegin);
  CHECK(std::holds_alternative<Placing::Broken>(loading.TakeAnswer(ErrorAnswer("LOADING later"), kTags)));
}

TEST_CASE("under a foreign top, what is found landed with all below it, and what is above was overtaken") {
  Texts texts;
  Placing placing({}, kStreamBegin, Ours(50), kStreamBegin, kStreamBegin);
  const auto search = placing.TakeAnswer(texts.Xinfo({60, 0}, Ours(10), 4, 4), kTags);
  REQUIRE(std::holds_alternative<Placing::ReadDown>(search));
  const auto look_up = placing.TakePage({1, {Row(Ours(30)), Row(Ours(20)), Row(Ours(10))}, true});
  REQUIRE(std::get<Placing::LookUp>(look_up).rows.size() == 3);
  const std::string id = ToString(Ours(20));
  const RedisAnswer found = ListAnswer({ListAnswer(
      {TextAnswer(id), ListAnswer({TextAnswer("f"), TextAnswer("1"), TextAnswer("event_id"), TextAnswer("e")})})});
  CHECK(std::holds_alternative<Placing::Wait>(placing.TakeAnswer(ListAnswer({}), kTags)));
  CHECK(std::holds_alternative<Placing::Wait>(placing.TakeAnswer(found, kTags)));
  CHECK(std::holds_alternative<Placing::Ask>(placing.TakeAnswer(ListAnswer({}), kTags)));
  const auto read = placing.TakeAnswer(texts.Xinfo({60, 0}, Ours(10), 4, 4), kTags);
  CHECK(std::get<Placing::ReadUp>(read).above == Ours(20));
  const auto move = placing.TakePage({2, {Row(Ours(30))}, true});
  REQUIRE(std::get<Placing::Move>(move).rows.size() == 1);
  CHECK(placing.TakeCounts().overtaken == 1);
  CHECK(std::get<Placing::Done>(placing.TakeMoved()).landed == Ours(50));
}

TEST_CASE("an entry of another text under our id is not ours") {
  Texts texts;
  Placing placing({}, kStreamBegin, Ours(20), kStreamBegin, kStreamBegin);
  (void)placing.TakeAnswer(texts.Xinfo({60, 0}, Ours(10), 2, 2), kTags);
  (void)placing.TakePage({1, {Row(Ours(20))}, true});
  const std::string id = ToString(Ours(20));
  const RedisAnswer other = ListAnswer({ListAnswer(
      {TextAnswer(id), ListAnswer({TextAnswer("f"), TextAnswer("2"), TextAnswer("event_id"), TextAnswer("e")})})});
  (void)placing.TakeAnswer(other, kTags);
  const auto read = placing.TakeAnswer(texts.Xinfo({60, 0}, Ours(10), 2, 2), kTags);
  CHECK(std::get<Placing::ReadUp>(read).above == kStreamBegin);
}

TEST_CASE("where entries were removed absence is no proof: what may have landed is reported, the rest appended") {
  Texts texts;
  Placing placing({}, kStreamBegin, Ours(30), /*landed_before=*/Ours(20), kStreamBegin);
  (void)placing.TakeAnswer(texts.Xinfo({60, 0}, StreamId{60, 0}, 1, 9), kTags);
  // All of it lies below the first entry: there is nothing to look up.
  CHECK(std::holds_alternative<Placing::Ask>(placing.TakePage({1, {Row(Ours(30)), Row(Ours(20))}, true})));
  (void)placing.TakeAnswer(texts.Xinfo({60, 0}, StreamId{60, 0}, 1, 9), kTags);
  const auto move = placing.TakePage({2, {Row(Ours(20)), Row(Ours(30))}, true});
  REQUIRE(std::get<Placing::Move>(move).rows.size() == 1);
  CHECK(std::get<Placing::Move>(move).rows[0].id == Ours(30));
  const Placing::Counts counts = placing.TakeCounts();
  CHECK(counts.reported == 1);
  CHECK(counts.unproven == 1);
}

}  // namespace
}  // namespace sprockets
