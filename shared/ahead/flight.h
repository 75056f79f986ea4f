// A flight: the next rows of some streams in one transaction, and what Redis's answers mean for each stream. Pure.
//
//   MULTI · XADD stream id … for each row · EXEC · WATCH guard · INFO replication
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shared/ahead/ahead_stream.h"
#include "shared/ahead/journal.h"
#include "shared/redis/answer.h"

namespace sprockets {

class Flight {
 public:
  struct Limits {
    size_t rows = 512;
    size_t bytes = 1 << 20;
  };

  /// What became of one stream's rows.
  struct Part {
    enum class Outcome {
      kNotApplied,
      kLanded,   // all of them, now or earlier
      kTooLow,   // none was taken: the stream is to be placed
      kRefused,  // the stream is refused, alone
    };
    AheadStream* stream = nullptr;
    struct Row {
      int64_t ticket;
      StreamId id;
    };
    std::vector<Row> rows;
    Outcome outcome = Outcome::kNotApplied;
    std::string why;
    std::vector<std::pair<size_t, std::string>> rejected;  // which of the rows Redis will not have, and why
  };
  enum class Outcome {
    kUnderWay,
    kDone,    // look at the parts
    kLater,   // nothing was applied, and Redis takes nothing now
    kBroken,  // the connection must go
  };

  /// `room`: a string to make the commands in, whose room is used again.
  explicit Flight(bool guarded, std::string room = {});

  /// Adds the next rows of a stream, as many as are neighbours and fit. False: none fits.
  bool Add(AheadStream& stream, const Limits& limits);
  bool empty() const { return parts_.empty(); }
  size_t rows() const { return rows_; }
  size_t answers() const { return rows_ + (guarded_ ? 4 : 3); }
  /// The whole transaction, when all its rows are added. Once.
  std::string TakeCommands();

  /// One answer after the other.
  Outcome TakeAnswer(const RedisAnswer& answer, const Incarnation& incarnation);
  const std::string& why() const { return why_; }
  const std::vector<Part>& parts() const { return parts_; }

 private:
  void TakeQueued(const RedisAnswer& answer);
  void TakeExec(const RedisAnswer& answer);
  void TakeResults(Part& part, const RedisAnswer* results);
  void TakeInfo(const RedisAnswer& answer, const Incarnation& incarnation);
  void Break(std::string_view why);
  Part& PartOfRow(size_t row);

  bool guarded_;
  std::vector<Part> parts_;
  std::string commands_;
  size_t rows_ = 0;
  size_t answers_ = 0;
  Outcome outcome_ = Outcome::kDone;
  bool refused_ = false;  // a stream, when its row was queued
  std::string why_;
};

}  // namespace sprockets
