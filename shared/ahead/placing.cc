#include "shared/ahead/placing.h"

#include <algorithm>
#include <utility>

#include "shared/base/result.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr std::string_view kNoSuchKey = "ERR no such key";

std::optional<StreamId> IdOfEntry(const RedisAnswer& entry) {
  if (entry.kind != RedisAnswer::Kind::kArray || entry.elements.empty()) return std::nullopt;
  return ParseStreamId(entry.elements[0].text);
}

}  // namespace

bool Holds(const RedisAnswer& answer, const JournalRow& row) {
  if (answer.kind != RedisAnswer::Kind::kArray || answer.elements.size() != 1) return false;
  const RedisAnswer& entry = answer.elements[0];
  if (entry.elements.size() != 2 || IdOfEntry(entry) != row.id) return false;
  std::vector<std::string_view> args;
  SPROCKETS_ASSERT(ParseWholeCommand(row.xadd, &args));
  const std::vector<RedisAnswer>& fields = entry.elements[1].elements;
  return std::equal(fields.begin(), fields.end(), args.begin() + static_cast<std::ptrdiff_t>(row.id_word) + 1,
                    args.end(), [](const RedisAnswer& field, std::string_view word) { return field.text == word; });
}

std::optional<StreamInfo> StreamInfo::In(const RedisAnswer& answer) {
  if (answer.is_error()) return answer.text.starts_with(kNoSuchKey) ? std::optional(StreamInfo{}) : std::nullopt;
  if (answer.kind != RedisAnswer::Kind::kArray) return std::nullopt;
  StreamInfo facts;
  int64_t length = -1;
  int64_t added = -2;
  bool has_top = false;
  for (size_t i = 0; i + 1 < answer.elements.size(); i += 2) {
    const std::string_view name = answer.elements[i].text;
    const RedisAnswer& value = answer.elements[i + 1];
    if (name == "length") length = value.integer;
    if (name == "entries-added") added = value.integer;
    if (name == "max-deleted-entry-id") facts.max_deleted = ParseStreamId(value.text).value_or(kStreamBegin);
    if (name == "first-entry") facts.first = IdOfEntry(value);
    if (name != "last-generated-id") continue;
    const auto top = ParseStreamId(value.text);
    if (!top) return std::nullopt;
    facts.top = *top;
    has_top = true;
  }
  facts.nothing_removed = added == length;
  return has_top ? std::optional(facts) : std::nullopt;
}

// ---- What both ways share

std::optional<Placement::Step> Placement::KeepFacts(const RedisAnswer& answer) {
  const auto facts = StreamInfo::In(answer);
  if (!facts) {
    if (answer.is_error() && ClassifyRedisError(answer.text) == RefusalScope::kStream) return Refused{answer.text};
    return Broken{answer.is_error() ? answer.text : "what Redis answers to XINFO STREAM is not understood"};
  }
  facts_ = *facts;
  return std::nullopt;
}

// Whoever is not there was never there: nothing above the first entry was deleted, or nothing at all was removed.
bool Placement::IsProvenOvertaken(StreamId id) const {
  return facts_.max_deleted < id && (facts_.nothing_removed || (facts_.first && *facts_.first < id));
}

bool Placement::IsMoved(StreamId id) {
  if (IsProvenOvertaken(id)) {
    ++counts_.overtaken;
    return true;
  }
  if (id <= landed_before_ && policy_.refill == Refill::kReport) {
    ++counts_.reported;
    return false;
  }
  ++counts_.unproven;
  return policy_.unproven == Unproven::kAppend;
}

// ---- Rows as they were committed

Placing::Placing(PlacingPolicy policy, StreamId base, StreamId committed, StreamId landed_before,
                 StreamId committed_before)
    : Placement(policy, landed_before), base_(base), committed_(committed), committed_before_(committed_before) {}

Placing::Step Placing::TakeAnswer(const RedisAnswer& answer, std::span<const EntryTag> tags) {
  return state_ == State::kLookingUp ? TakeLookUp(answer) : TakeFacts(answer, tags);
}

Placing::Step Placing::TakeFacts(const RedisAnswer& answer, std::span<const EntryTag> tags) {
  if (auto no_facts = KeepFacts(answer)) return *std::move(no_facts);
  if (state_ == State::kAskingAgain) return ReadOn(*found_);
  if (facts_.top <= base_) return Done{base_};
  // A row that was given its id and is not committed yet lies above what is committed, and is no candidate.
  const bool is_of_this_life = !tags.empty() && TagOf(facts_.top) == tags.back();
  if (IsOurs(facts_.top, tags) && (facts_.top <= committed_before_ || is_of_this_life))
    return Done{std::max(base_, std::min(facts_.top, committed_))};
  // The journal has lost its end, as by a power cut: the top is of a row that it does not have any more. All that
  // earlier lives have left had landed then; of this life's rows it says nothing.
  if (IsOurs(facts_.top, tags)) base_ = std::max(base_, committed_before_);
  return Search(std::min(facts_.top, committed_));
}

Placing::Step Placing::Search(StreamId up_to) {
  if (up_to <= base_) return Done{base_};
  state_ = State::kSearching;
  return ReadDown{base_, *Next(up_to)};  // what was given to a row is never the last id of all
}

Placing::Step Placing::TakePage(JournalPage page) {
  if (state_ == State::kReading) {
    reading_ends_ = page.is_last;
    if (!page.rows.empty()) read_to_ = page.rows.back().id;
    std::erase_if(page.rows, [this](const JournalRow& row) { return !IsMoved(row.id); });
    if (page.rows.empty()) return reading_ends_ ? Step(Done{std::min(facts_.top, committed_)}) : ReadOn(read_to_);
    state_ = State::kMoving;
    return Move{std::move(page.rows)};
  }
  SPROCKETS_ASSERT(state_ == State::kSearching);
  // Below the first entry there is nothing to be found.
  const auto is_below = [this](const JournalRow& row) { return !facts_.first || row.id < *facts_.first; };
  const size_t all = page.rows.size();
  std::erase_if(page.rows, is_below);
  search_ends_ = page.is_last || page.rows.size() < all;
  if (page.rows.empty()) return AskAgain(base_);
  state_ = State::kLookingUp;
  looked_up_ = page.rows;
  answers_ = 0;
  return LookUp{std::move(page.rows)};
}

Placing::Step Placing::TakeLookUp(const RedisAnswer& answer) {
  if (answer.is_error()) return Broken{answer.text};
  const JournalRow& row = looked_up_[answers_++];
  if (!found_ && Holds(answer, row)) found_ = row.id;  // it and all below it landed
  if (answers_ < looked_up_.size()) return Wait{};
  const StreamId lowest = std::exchange(looked_up_, {}).back().id;
  if (found_) return AskAgain(*found_);
  if (search_ends_) return AskAgain(base_);
  state_ = State::kSearching;
  return ReadDown{base_, lowest};
}

// What was trimmed or deleted while the rows were looked for proves nothing.
Placing::Step Placing::AskAgain(StreamId found) {
  found_ = found;
  state_ = State::kAskingAgain;
  return Ask{};
}

Placing::Step Placing::ReadOn(StreamId above) {
  const StreamId up_to = std::min(facts_.top, committed_);
  if (up_to <= above) return Done{std::max(base_, above)};
  state_ = State::kReading;
  return ReadUp{above, up_to};
}

Placing::Step Placing::TakeMoved() {
  SPROCKETS_ASSERT(state_ == State::kMoving);
  return reading_ends_ ? Step(Done{std::min(facts_.top, committed_)}) : ReadOn(read_to_);
}

// ---- Salvaged rows

// That later rows have landed is no sign that these ever did.
PlacingOfSalvaged::PlacingOfSalvaged(PlacingPolicy policy, StreamId above, StreamId up_to)
    : Placement(policy, /*landed_before=*/kStreamBegin), read_to_(above), up_to_(up_to) {}

Placement::Step PlacingOfSalvaged::TakeAnswer(const RedisAnswer& answer, std::span<const EntryTag>) {
  return state_ == State::kLookingUp ? TakeLookUp(answer) : TakeFacts(answer);
}

// Those above the top are next to be sent, as all others are.
Placement::Step PlacingOfSalvaged::TakeFacts(const RedisAnswer& answer) {
  if (auto no_facts = KeepFacts(answer)) return *std::move(no_facts);
  if (state_ == State::kAsking) return ReadOn();
  std::erase_if(missing_, [this](const JournalRow& row) { return !IsMoved(row.id); });
  if (missing_.empty()) return ReadOn();
  state_ = State::kMoving;
  return Move{std::exchange(missing_, {})};
}

Placement::Step PlacingOfSalvaged::ReadOn() {
  const StreamId up_to = std::min(up_to_, facts_.top);
  if (reading_ends_ || up_to <= read_to_) return Done{read_to_};
  state_ = State::kReading;
  return ReadUp{read_to_, up_to};
}

Placement::Step PlacingOfSalvaged::TakePage(JournalPage page) {
  SPROCKETS_ASSERT(state_ == State::kReading);
  reading_ends_ = page.is_last;
  if (!page.rows.empty()) read_to_ = page.rows.back().id;
  std::erase_if(page.rows, [](const JournalRow& row) { return !row.salvaged; });
  if (page.rows.empty()) return ReadOn();
  state_ = State::kLookingUp;
  rows_ = page.rows;
  answers_ = 0;
  return LookUp{std::move(page.rows)};
}

Placement::Step PlacingOfSalvaged::TakeLookUp(const RedisAnswer& answer) {
  if (answer.is_error()) return Broken{answer.text};
  JournalRow& row = rows_[answers_++];
  if (!Holds(answer, row)) missing_.push_back(std::move(row));
  if (answers_ < rows_.size()) return Wait{};
  if (missing_.empty()) return ReadOn();
  state_ = State::kAskingAgain;
  return Ask{};
}

Placement::Step PlacingOfSalvaged::TakeMoved() {
  SPROCKETS_ASSERT(state_ == State::kMoving);
  return ReadOn();
}

}  // namespace sprockets
