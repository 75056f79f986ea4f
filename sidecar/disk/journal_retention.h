// How long journals are kept when everything in them has landed: for a while from then on, so that a Redis that has
// lost something gets it back, and no longer than there is room. A journal with a row that has not landed is never
// removed. The while is one of the steady clock: a wall clock that jumps removes nothing. Since when a file of an
// earlier life has landed is its time of modification. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/journal/journal_contents.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"

namespace sprockets {

/// What the journal that is being written holds, for when it is sealed. No allocation a row.
class JournalTally {
 public:
  /// Within a transaction.
  /// `origin`: of an event that is moved, the ticket of its first row; else 0.
  void Add(std::string_view stream, StreamId id, int64_t ticket, int64_t origin);
  void Commit();
  void Rollback();
  /// What was committed; it is empty afterwards.
  JournalFile Take();
  LastIds Committed() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  struct Stream {
    StreamId last;  // the open transaction's rows included
    StreamId committed;
    bool touched = false;  // by the open transaction
  };
  std::unordered_map<std::string, Stream, Hash, std::equal_to<>> streams_;
  std::vector<Stream*> touched_;
  // Those of a transaction that is rolled back only keep a file longer than it need be.
  int64_t last_ticket_ = 0;
  int64_t lowest_origin_ = 0;
};

class JournalRetention {
 public:
  /// `files`: of earlier lives, by number. `noted`: the marks that they left. `refills`: what another life of Redis has
  /// lost is sent again, so what landed in that one does not count. The folder must outlive it.
  JournalRetention(const SpillFolder& folder, int64_t retain_ms, bool refills, std::vector<JournalFile> files,
                   LandedMarks noted);

  /// A journal that is not written any more.
  void Add(JournalFile file);
  /// The last mark is of the life that Redis lives now: what landed in another one may be missing. Before the marks are
  /// written down: the next life then knows how long it is that a file has landed.
  void NoteLanded(std::span<const LandedMark> marks);
  /// Redis lives this life.
  void NoteRedisLife(const std::string& run_id, const std::string& replication_id);
  /// This journal holds a row that Redis will not take, and is kept.
  void NoteRejected(int64_t number);
  /// Salvaged journals may be removed as others are: until now they hold rows that marks say nothing of.
  void NoteSalvagedPlaced();
  /// Removes what was kept long enough. Looks once a second at most.
  void KeepHouse();
  /// Removes the oldest journals, however young, that `bytes` become free; as many bytes as became free.
  int64_t MakeRoom(int64_t bytes);
  /// Has everything landed up to these ids, in the life that Redis lives now?
  bool HasLanded(const LastIds& last_ids) const;

  size_t size() const { return files_.size(); }

 private:
  struct Kept {
    JournalFile journal;
    std::optional<int64_t> landed_ms;  // since when all of it has landed, on the steady clock; nothing: it has not
  };
  using Files = std::vector<Kept>;

  bool MayGo(Files::const_iterator file) const;
  bool HasLanded(const JournalFile& file) const;
  bool LandedInSomeLife(const JournalFile& file) const;
  void Look(Kept* file);
  void LookAtAll();
  int64_t RemoveWhile(const std::function<bool(const Kept&, int64_t removed)>& wanted, std::string_view why);
  Result<std::optional<SpillFileInfo>> Find(int64_t number) const;
  Result<int64_t> Remove(const Kept& file, std::string_view why) const;

  const SpillFolder& folder_;
  const int64_t retain_ms_;
  const bool refills_;
  Files files_;  // by number
  LandedMarks marks_;
  std::string run_id_;  // of Redis as it lives now; empty: nobody has said yet
  std::string replication_id_;
  int64_t looked_ms_ = 0;            // for what is old, on the steady clock
  int64_t look_for_room_at_ms_ = 0;  // not before: there was nothing to be had
};

}  // namespace sprockets
