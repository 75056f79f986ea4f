// Finds out what of a stream has landed, at the beginning of each connection and when Redis refuses rows as too low;
// and moves what another writer's entries have overtaken. The rule that it rests on: in any dataset, if an entry of
// ours is there, all of ours with lower ids are or were there. Pure.
//
//   asking ─► done: the top is ours, or below every row in question
//      └► searching ⇄ looking up, newest row first ─► asking again ─► reading ⇄ moving ─► done
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "shared/ahead/entry_id.h"
#include "shared/ahead/journal.h"
#include "shared/redis/answer.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

/// What XINFO STREAM says.
struct StreamInfo {
  StreamId top;  // last-generated-id
  StreamId max_deleted;
  std::optional<StreamId> first;  // entry; nothing: the stream is empty
  bool nothing_removed = false;   // as many entries as were ever added

  /// 0-0 where there is no such key. Nothing if it is no answer to XINFO STREAM.
  static std::optional<StreamInfo> In(const RedisAnswer& answer);
};

/// Is the row's entry the only one of this answer to XRANGE, and does it say what the row says?
bool Holds(const RedisAnswer& answer, const JournalRow& row);

/// What to do with an event of which nobody can say whether it landed.
enum class Unproven { kAppend, kSkip };
/// With one that had landed, and is missing from another dataset without proof.
enum class Refill { kReport, kAppend };

struct PlacingPolicy {
  Unproven unproven = Unproven::kAppend;
  Refill refill = Refill::kReport;
};

/// Whatever finds out what of a stream's rows landed: it says what to do next, and is told what came of it.
class Placement {
 public:
  // What to do next.
  struct Ask {};  // XINFO STREAM
  struct ReadDown {
    StreamId above;
    StreamId below;
  };
  struct LookUp {
    std::vector<JournalRow> rows;  // XRANGE id id for each
  };
  struct ReadUp {
    StreamId above;
    StreamId up_to;
  };
  struct Move {
    std::vector<JournalRow> rows;  // under their old ids
  };
  struct Done {
    StreamId landed;
  };
  struct Refused {
    std::string_view why;  // this stream alone
  };
  struct Broken {
    std::string_view why;
  };
  struct Wait {};
  using Step = std::variant<Wait, Ask, ReadDown, LookUp, ReadUp, Move, Done, Refused, Broken>;

  struct Counts {
    uint64_t overtaken = 0;
    uint64_t unproven = 0;  // of those that were moved or skipped
    uint64_t reported = 0;  // landed once, missing now without proof, and not sent again
    bool none() const { return overtaken + unproven + reported == 0; }
  };

  virtual ~Placement() = default;

  Step Begin() { return Ask{}; }
  /// Of XINFO STREAM, or of the next look-up.
  virtual Step TakeAnswer(const RedisAnswer& answer, std::span<const EntryTag> tags) = 0;
  virtual Step TakePage(JournalPage page) = 0;
  virtual Step TakeMoved() = 0;

  /// What was decided since the last call.
  Counts TakeCounts() { return std::exchange(counts_, {}); }
  StreamId top() const { return facts_.top; }

 protected:
  /// Rows up to `landed_before` had landed, in this or in another dataset.
  Placement(PlacingPolicy policy, StreamId landed_before) : policy_(policy), landed_before_(landed_before) {}

  /// Nothing: the answer is in facts_.
  std::optional<Step> KeepFacts(const RedisAnswer& answer);
  /// A row that is not there: it is to be moved, or else left where it is. It is counted.
  bool IsMoved(StreamId id);
  StreamInfo facts_;

 private:
  bool IsProvenOvertaken(StreamId id) const;

  const PlacingPolicy policy_;
  const StreamId landed_before_;
  Counts counts_;
};

/// Of a stream's rows as they were committed, one after the other.
class Placing : public Placement {
 public:
  /// Of the rows above `base` those up to `committed` may have landed; those up to `committed_before` were committed by
  /// earlier lives.
  Placing(PlacingPolicy policy, StreamId base, StreamId committed, StreamId landed_before, StreamId committed_before);

  Step TakeAnswer(const RedisAnswer& answer, std::span<const EntryTag> tags) override;
  Step TakePage(JournalPage page) override;
  Step TakeMoved() override;

 private:
  enum class State { kAsking, kSearching, kLookingUp, kAskingAgain, kReading, kMoving };

  Step TakeFacts(const RedisAnswer& answer, std::span<const EntryTag> tags);
  Step TakeLookUp(const RedisAnswer& answer);
  Step Search(StreamId up_to);
  Step AskAgain(StreamId found);
  Step ReadOn(StreamId above);

  StreamId base_;
  const StreamId committed_;
  const StreamId committed_before_;
  State state_ = State::kAsking;
  std::vector<JournalRow> looked_up_;
  size_t answers_ = 0;  // of them
  bool search_ends_ = false;
  std::optional<StreamId> found_;
  StreamId read_to_;
  bool reading_ends_ = false;
};

/// Of the salvaged rows of a damaged journal: while they could not be read, later rows went past them, so the rule says
/// nothing of them, and each is looked for.
class PlacingOfSalvaged : public Placement {
 public:
  /// The salvaged rows lie above `above`, up to `up_to`, among others.
  PlacingOfSalvaged(PlacingPolicy policy, StreamId above, StreamId up_to);

  Step TakeAnswer(const RedisAnswer& answer, std::span<const EntryTag> tags) override;
  Step TakePage(JournalPage page) override;
  Step TakeMoved() override;

 private:
  enum class State { kAsking, kReading, kLookingUp, kAskingAgain, kMoving };

  Step TakeFacts(const RedisAnswer& answer);
  Step TakeLookUp(const RedisAnswer& answer);
  Step ReadOn();

  StreamId read_to_;
  const StreamId up_to_;
  State state_ = State::kAsking;
  std::vector<JournalRow> rows_;  // of the page; then those of them that are not there
  size_t answers_ = 0;
  std::vector<JournalRow> missing_;
  bool reading_ends_ = false;
};

}  // namespace sprockets
