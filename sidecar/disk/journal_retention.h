// How long journals are kept when everything in them has landed: for a while, so that a Redis that has lost something
// gets it back, and no longer than there is room. A journal with a row that has not landed is never removed. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
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
  void Add(std::string_view stream, StreamId id, int64_t received_ms, bool is_moved);
  void Commit();
  void Rollback();
  /// What was committed; it is empty afterwards.
  JournalFile Take();

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
  int64_t newest_ms_ = 0;
  int64_t newest_committed_ms_ = 0;
  bool has_moves_ = false;
};

class JournalRetention {
 public:
  /// `files`: of earlier lives, by number. `noted`: the marks that they left. `refills`: what another life of Redis has
  /// lost is sent again, so what landed in that one does not count. The folder must outlive it.
  JournalRetention(const SpillFolder& folder, int64_t retain_ms, bool refills, std::vector<JournalFile> files,
                   LandedMarks noted);

  /// A journal that is not written any more.
  void Add(JournalFile file) { files_.push_back(std::move(file)); }
  /// The last mark is of the life that Redis lives now: what landed in another one may be missing.
  void NoteLanded(std::span<const LandedMark> marks);
  /// This journal holds a row that Redis will not take, and is kept.
  void NoteRejected(int64_t number);
  /// Salvaged journals may be removed as others are: until now they hold rows that marks say nothing of.
  void NoteSalvagedPlaced();
  /// Removes what was kept long enough. Looks once a second at most.
  void KeepHouse();
  /// Removes the oldest journals, however young, that `bytes` become free; as many bytes as became free.
  int64_t MakeRoom(int64_t bytes);

  size_t size() const { return files_.size(); }

 private:
  using Files = std::vector<JournalFile>;

  bool MayGo(Files::const_iterator file) const;
  bool HasLanded(const JournalFile& file) const;
  int64_t RemoveWhile(const std::function<bool(const JournalFile&, int64_t removed)>& wanted, std::string_view why);
  Result<int64_t> Remove(const JournalFile& file, std::string_view why) const;

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
