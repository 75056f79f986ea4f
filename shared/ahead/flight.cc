#include "shared/ahead/flight.h"

#include <span>
#include <utility>

#include "shared/ahead/entry_id.h"
#include "shared/ahead/greeting.h"
#include "shared/base/result.h"
#include "shared/redis/error.h"
#include "shared/redis/info.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr size_t kMostRoom = 2 << 20;  // that is kept: of a flight, but not of a huge event

// It has no class of its own, so the text must do (t_stream.c, xaddCommand).
constexpr std::string_view kTooLow = "ERR The ID specified in XADD is equal or smaller";

/// Redis does not take anything now, and says so of a transaction as a whole: nothing was applied. READONLY and the
/// like say more: this is not the server any more that was placed.
bool IsPassing(std::string_view error) {
  for (const std::string_view each : {"OOM", "MISCONF", "NOREPLICAS", "BUSY"}) {
    if (error.substr(0, error.find(' ')) == each) return true;
  }
  return false;
}

}  // namespace

Flight::Flight(bool guarded, std::string room) : guarded_(guarded) {
  if (room.capacity() <= kMostRoom) commands_.swap(room);
  commands_.clear();
  commands_ += MakeCommand({"MULTI"});
}

bool Flight::Add(AheadStream& stream, const Limits& limits) {
  Part part{&stream, {}, {}, {}, {}};
  while (const JournalRow* row = stream.rows.Next(part.rows.size())) {
    if (rows_ > 0 && (rows_ >= limits.rows || commands_.size() + row->xadd.size() > limits.bytes)) break;
    // Others' ids cannot lie inside such a part: it is overtaken whole or not at all.
    if (!part.rows.empty() && !AreNeighbours(part.rows.front().id, row->id)) break;
    commands_ += row->xadd;
    part.rows.push_back({row->ticket, row->id});
    ++rows_;
  }
  if (part.rows.empty()) return false;
  parts_.push_back(std::move(part));
  return true;
}

std::string Flight::TakeCommands() {
  commands_ += MakeCommand({"EXEC"});
  if (guarded_) commands_ += MakeCommand({"WATCH", kGuardKey});
  commands_ += MakeCommand({"INFO", "replication"});
  return std::move(commands_);
}

Flight::Outcome Flight::TakeAnswer(const RedisAnswer& answer, const Incarnation& incarnation) {
  const size_t at = answers_++;
  const size_t exec = rows_ + 1;
  const size_t last = exec + (guarded_ ? 2 : 1);
  if (at == 0) {
    if (!answer.is_text("OK")) Break(answer.text);
  } else if (at < exec) {
    TakeQueued(answer);
  } else if (at == exec) {
    TakeExec(answer);
  } else if (at < last) {
    if (!answer.is_text("OK")) Break(answer.text);
  } else {
    TakeInfo(answer, incarnation);
    return outcome_;
  }
  return outcome_ == Outcome::kBroken ? outcome_ : Outcome::kUnderWay;
}

Flight::Part& Flight::PartOfRow(size_t row) {
  size_t part = 0;
  while (row >= parts_[part].rows.size()) row -= parts_[part++].rows.size();
  return parts_[part];
}

void Flight::TakeQueued(const RedisAnswer& answer) {
  if (answer.is_text("QUEUED")) return;
  if (!answer.is_error()) return Break("what Redis answers to a queued command is not understood");
  if (IsPassing(answer.text)) {
    outcome_ = Outcome::kLater;
    why_ = answer.text;
  } else if (ClassifyRedisError(answer.text) == RefusalScope::kStream) {
    Part& part = PartOfRow(answers_ - 2);
    part.outcome = Part::Outcome::kRefused;
    part.why = answer.text;
    refused_ = true;
  } else {
    Break(answer.text);
  }
}

void Flight::TakeExec(const RedisAnswer& answer) {
  if (answer.is_error()) {
    // Nothing was applied, for a reason that was told when a command was queued.
    const bool told = outcome_ == Outcome::kLater || refused_;
    if (!answer.text.starts_with("EXECABORT") || !told) Break(answer.text);
    return;
  }
  if (answer.kind == RedisAnswer::Kind::kNil) return Break("the dataset was replaced under the connection");
  if (answer.elements.size() != rows_) return Break("what Redis answers to EXEC is not understood");
  const RedisAnswer* results = answer.elements.data();
  for (Part& part : parts_) {
    TakeResults(part, results);
    results += part.rows.size();
  }
}

void Flight::TakeResults(Part& part, const RedisAnswer* results) {
  size_t too_low = 0;
  for (size_t i = 0; i < part.rows.size(); ++i) {
    const RedisAnswer& result = results[i];
    if (result.kind == RedisAnswer::Kind::kText) continue;
    if (!result.is_error()) return Break("what Redis answers to an XADD is not understood");
    if (result.text.starts_with(kTooLow)) {
      ++too_low;
    } else if (ClassifyRedisError(result.text) == RefusalScope::kStream) {
      part.outcome = Part::Outcome::kRefused;
      part.why = result.text;
      return;
    } else {
      part.rejected.emplace_back(i, result.text);
    }
  }
  // Where some were taken the others landed earlier: nobody else's ids lie between them.
  part.outcome = too_low == part.rows.size() ? Part::Outcome::kTooLow : Part::Outcome::kLanded;
}

void Flight::TakeInfo(const RedisAnswer& answer, const Incarnation& incarnation) {
  if (answer.is_error()) return Break(answer.text);
  if (auto why = NoMaster(answer.text)) return Break(*why);
  if (InfoField(answer.text, "master_replid") != incarnation.replication_id) Break("Redis has changed its role");
}

void Flight::Break(std::string_view why) {
  if (outcome_ == Outcome::kBroken) return;
  outcome_ = Outcome::kBroken;
  why_ = why;
}

}  // namespace sprockets
