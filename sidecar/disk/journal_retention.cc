#include "sidecar/disk/journal_retention.h"

#include <algorithm>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {

namespace {

constexpr int64_t kLookEveryMs = 1'000;

}  // namespace

void JournalTally::Add(std::string_view stream, StreamId id, int64_t received_ms, bool is_moved) {
  auto known = streams_.find(stream);
  if (known == streams_.end()) known = streams_.emplace(stream, Stream{}).first;
  Stream& counted = known->second;
  counted.last = std::max(counted.last, id);
  if (!std::exchange(counted.touched, true)) touched_.push_back(&counted);
  newest_ms_ = std::max(newest_ms_, received_ms);
  has_moves_ = has_moves_ || is_moved;
}

void JournalTally::Commit() {
  for (Stream* stream : touched_) {
    stream->committed = stream->last;
    stream->touched = false;
  }
  touched_.clear();
  newest_committed_ms_ = newest_ms_;
}

void JournalTally::Rollback() {
  for (Stream* stream : touched_) {
    stream->last = stream->committed;
    stream->touched = false;
  }
  touched_.clear();
  newest_ms_ = newest_committed_ms_;
}

JournalFile JournalTally::Take() {
  Rollback();
  JournalFile file;
  file.newest_received_ms = newest_committed_ms_;
  file.has_moves = has_moves_;
  for (const auto& [name, stream] : streams_) {
    if (stream.committed != kStreamBegin) file.last_ids.emplace(name, stream.committed);
  }
  *this = JournalTally();
  return file;
}

JournalRetention::JournalRetention(const SpillFolder& folder, int64_t retain_ms, bool refills,
                                   std::vector<JournalFile> files, LandedMarks noted)
    : folder_(folder), retain_ms_(retain_ms), refills_(refills), files_(std::move(files)), marks_(std::move(noted)) {}

void JournalRetention::NoteLanded(std::span<const LandedMark> marks) {
  for (const LandedMark& mark : marks) {
    marks_.insert_or_assign(mark.stream, mark);
    if (mark.run_id.empty()) continue;
    run_id_ = mark.run_id;
    replication_id_ = mark.replication_id;
  }
  look_for_room_at_ms_ = 0;
}

void JournalRetention::NoteRejected(int64_t number) {
  for (JournalFile& file : files_) file.has_rejected = file.has_rejected || file.number == number;
}

void JournalRetention::NoteSalvagedPlaced() {
  for (JournalFile& file : files_) file.first_ids.clear();
}

void JournalRetention::KeepHouse() {
  const int64_t now_ms = SteadyClockMs();
  if (files_.empty() || (looked_ms_ != 0 && now_ms - looked_ms_ < kLookEveryMs)) return;
  looked_ms_ = now_ms;
  const int64_t newest_ms = WallClockMs() - retain_ms_;
  const auto is_old = [&](const JournalFile& file, int64_t) { return file.newest_received_ms <= newest_ms; };
  RemoveWhile(is_old, "old");
}

int64_t JournalRetention::MakeRoom(int64_t bytes) {
  const int64_t now_ms = SteadyClockMs();
  if (files_.empty() || now_ms < look_for_room_at_ms_) return 0;
  const auto is_wanted = [&](const JournalFile&, int64_t removed) { return removed < bytes; };
  const int64_t removed = RemoveWhile(is_wanted, "space");
  if (removed < bytes) look_for_room_at_ms_ = now_ms + kLookEveryMs;
  return removed;
}

// Oldest first. Not while somebody else is at work on the files.
int64_t JournalRetention::RemoveWhile(const std::function<bool(const JournalFile&, int64_t removed)>& wanted,
                                      std::string_view why) {
  const auto may_go = [&](Files::const_iterator file, int64_t removed) {
    return wanted(*file, removed) && MayGo(file);
  };
  int64_t removed = 0;
  FileLock lock;
  for (auto file = files_.begin(); file != files_.end();) {
    if (!may_go(file, removed)) {
      ++file;
      continue;
    }
    if (!lock.held()) {
      Result<FileLock> taken = folder_.LockForDraining(0);
      if (!taken.ok()) return removed;
      lock = std::move(taken).value();
    }
    const Result<int64_t> bytes = Remove(*file, why);
    if (!bytes.ok()) {
      LogWarning("journal-not-removed", {{"number", file->number}, {"error", bytes.error().message}});
      return removed;
    }
    removed += bytes.value();
    file = files_.erase(file);
  }
  return removed;
}

// As long as the first row of a moved event may be there, so is the one that says that it was moved: else the next
// start would take the first one for the event.
bool JournalRetention::MayGo(Files::const_iterator file) const {
  return (!file->has_moves || file == files_.begin()) && HasLanded(*file);
}

bool JournalRetention::HasLanded(const JournalFile& file) const {
  if ((refills_ && run_id_.empty()) || file.salvaged() || file.has_rejected) return false;
  return std::all_of(file.last_ids.begin(), file.last_ids.end(), [this](const auto& of_stream) {
    const auto mark = marks_.find(of_stream.first);
    if (mark == marks_.end() || mark->second.landed < of_stream.second) return false;
    return !refills_ || (mark->second.run_id == run_id_ && mark->second.replication_id == replication_id_);
  });
}

/// Its bytes; none if somebody has set it aside, or deleted it.
Result<int64_t> JournalRetention::Remove(const JournalFile& file, std::string_view why) const {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> found,
                   folder_.List([&](int64_t number) { return number == file.number; }));
  if (found.empty() || found.front().quarantined) return 0;
  RETURN_IF_ERROR(folder_.Remove(found.front()));
  const int64_t age_ms = WallClockMs() - file.newest_received_ms;
  const int64_t bytes = found.front().bytes;
  if (age_ms >= retain_ms_) {
    LogInfo("journal-removed", {{"number", file.number}, {"bytes", bytes}, {"why", why}});
  } else {
    LogWarning("journal-removed-early",
               {{"number", file.number},
                {"bytes", bytes},
                {"age", FormatDuration(age_ms)},
                {"cost", "what Redis forgets of it does not come back"},
                {"next", "give --spill-max-bytes or the disk more room, or shorten --retain"}});
  }
  return bytes;
}

}  // namespace sprockets
