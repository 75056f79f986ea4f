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

void JournalTally::Add(std::string_view stream, StreamId id, int64_t ticket, int64_t origin) {
  auto known = streams_.find(stream);
  if (known == streams_.end()) known = streams_.emplace(stream, Stream{}).first;
  Stream& counted = known->second;
  counted.last = std::max(counted.last, id);
  if (!std::exchange(counted.touched, true)) touched_.push_back(&counted);
  last_ticket_ = std::max(last_ticket_, ticket);
  if (origin != 0) lowest_origin_ = lowest_origin_ == 0 ? origin : std::min(lowest_origin_, origin);
}

void JournalTally::Commit() {
  for (Stream* stream : touched_) {
    stream->committed = stream->last;
    stream->touched = false;
  }
  touched_.clear();
}

void JournalTally::Rollback() {
  for (Stream* stream : touched_) {
    stream->last = stream->committed;
    stream->touched = false;
  }
  touched_.clear();
}

LastIds JournalTally::Committed() const {
  LastIds last_ids;
  for (const auto& [name, stream] : streams_) {
    if (stream.committed != kStreamBegin) last_ids.emplace(name, stream.committed);
  }
  return last_ids;
}

JournalFile JournalTally::Take() {
  Rollback();
  JournalFile file;
  file.last_ticket = last_ticket_;
  file.lowest_origin = lowest_origin_;
  file.last_ids = Committed();
  *this = JournalTally();
  return file;
}

JournalRetention::JournalRetention(const SpillFolder& folder, int64_t retain_ms, bool refills,
                                   std::vector<JournalFile> files, LandedMarks noted)
    : folder_(folder), retain_ms_(retain_ms), refills_(refills), marks_(std::move(noted)) {
  const int64_t now_ms = SteadyClockMs();
  const int64_t wall_ms = WallClockMs();
  for (JournalFile& file : files) {
    Kept kept{std::move(file), std::nullopt};
    if (LandedInSomeLife(kept.journal))
      kept.landed_ms = now_ms - std::max<int64_t>(0, wall_ms - kept.journal.changed_ms);
    files_.push_back(std::move(kept));
  }
}

void JournalRetention::Add(JournalFile file) {
  files_.push_back({std::move(file), std::nullopt});
  Look(&files_.back());
  look_for_room_at_ms_ = 0;
}

void JournalRetention::NoteLanded(std::span<const LandedMark> marks) {
  bool goes_back = false;
  for (const LandedMark& mark : marks) {
    LandedMark& known = marks_[mark.stream];
    goes_back = goes_back || mark.landed < known.landed;
    known = mark;
    if (!mark.run_id.empty()) NoteRedisLife(mark.run_id, mark.replication_id);
  }
  look_for_room_at_ms_ = 0;
  if (goes_back) return LookAtAll();
  for (Kept& file : files_) {
    if (!file.landed_ms) Look(&file);
  }
}

void JournalRetention::NoteRedisLife(const std::string& run_id, const std::string& replication_id) {
  if (run_id_ == run_id && replication_id_ == replication_id) return;
  run_id_ = run_id;
  replication_id_ = replication_id;
  look_for_room_at_ms_ = 0;
  LookAtAll();
}

void JournalRetention::LookAtAll() {
  for (Kept& file : files_) Look(&file);
}

// Since when it has landed. As long as nobody knows which life Redis lives, what earlier lives left counts as it
// stands.
void JournalRetention::Look(Kept* file) {
  if (refills_ && run_id_.empty()) return;
  if (!HasLanded(file->journal)) {
    file->landed_ms.reset();
  } else if (!file->landed_ms) {
    file->landed_ms = SteadyClockMs();
    const auto found = Find(file->journal.number);
    if (found.ok() && found.value()) folder_.NoteTime(*found.value(), WallClockMs());
  }
}

void JournalRetention::NoteRejected(int64_t number) {
  for (Kept& file : files_) file.journal.has_rejected = file.journal.has_rejected || file.journal.number == number;
}

void JournalRetention::NoteSalvagedPlaced() {
  for (Kept& file : files_) file.journal.first_ids.clear();
  LookAtAll();
}

void JournalRetention::KeepHouse() {
  const int64_t now_ms = SteadyClockMs();
  if (files_.empty() || (looked_ms_ != 0 && now_ms - looked_ms_ < kLookEveryMs)) return;
  looked_ms_ = now_ms;
  const auto is_old = [&](const Kept& file, int64_t) {
    return file.landed_ms && now_ms - *file.landed_ms >= retain_ms_;
  };
  RemoveWhile(is_old, "old");
}

int64_t JournalRetention::MakeRoom(int64_t bytes) {
  const int64_t now_ms = SteadyClockMs();
  if (files_.empty() || now_ms < look_for_room_at_ms_) return 0;
  const auto is_wanted = [&](const Kept&, int64_t removed) { return removed < bytes; };
  const int64_t removed = RemoveWhile(is_wanted, "space");
  if (removed < bytes) look_for_room_at_ms_ = now_ms + kLookEveryMs;
  return removed;
}

// Oldest first. Not while somebody else is at work on the files.
int64_t JournalRetention::RemoveWhile(const std::function<bool(const Kept&, int64_t removed)>& wanted,
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
      LogWarning("journal-not-removed", {{"number", file->journal.number}, {"error", bytes.error().message}});
      return removed;
    }
    removed += bytes.value();
    file = files_.erase(file);
  }
  return removed;
}

// As long as the first row of a moved event may be there, so is the one that says that it was moved: else the next
// start would take the first one for the event. Tickets ascend from file to file, but for those of salvaged rows.
bool JournalRetention::MayGo(Files::const_iterator file) const {
  if (!HasLanded(file->journal)) return false;
  const int64_t origin = file->journal.lowest_origin;
  if (origin == 0) return true;
  for (auto other = files_.begin(); other != files_.end(); ++other) {
    const bool may_be_older = other < file || other->journal.salvaged();
    if (other != file && may_be_older && other->journal.last_ticket >= origin) return false;
  }
  return true;
}

bool JournalRetention::HasLanded(const JournalFile& file) const {
  return !file.salvaged() && !file.has_rejected && HasLanded(file.last_ids);
}

bool JournalRetention::HasLanded(const LastIds& last_ids) const {
  if (refills_ && run_id_.empty()) return false;
  return std::all_of(last_ids.begin(), last_ids.end(), [this](const auto& of_stream) {
    const auto mark = marks_.find(of_stream.first);
    if (mark == marks_.end() || mark->second.landed < of_stream.second) return false;
    return !refills_ || (mark->second.run_id == run_id_ && mark->second.replication_id == replication_id_);
  });
}

/// By the marks alone. Should Redis live another life by now, it counts as not landed from then on.
bool JournalRetention::LandedInSomeLife(const JournalFile& file) const {
  return std::all_of(file.last_ids.begin(), file.last_ids.end(), [this](const auto& of_stream) {
    const auto mark = marks_.find(of_stream.first);
    return mark != marks_.end() && mark->second.landed >= of_stream.second;
  });
}

/// Nothing if somebody has set it aside, or deleted it.
Result<std::optional<SpillFileInfo>> JournalRetention::Find(int64_t number) const {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> found, folder_.List([&](int64_t each) { return each == number; }));
  if (found.empty() || found.front().quarantined) return std::optional<SpillFileInfo>();
  return std::optional(found.front());
}

/// Its bytes; none if it is not there any more.
Result<int64_t> JournalRetention::Remove(const Kept& file, std::string_view why) const {
  const int64_t number = file.journal.number;
  ASSIGN_OR_RETURN(const std::optional<SpillFileInfo> found, Find(number));
  if (!found) return 0;
  RETURN_IF_ERROR(folder_.Remove(*found));
  const int64_t kept_ms = file.landed_ms ? SteadyClockMs() - *file.landed_ms : 0;
  if (kept_ms >= retain_ms_) {
    LogInfo("journal-removed", {{"number", number}, {"bytes", found->bytes}, {"why", why}});
  } else {
    LogWarning("journal-removed-early",
               {{"number", number},
                {"bytes", found->bytes},
                {"kept", FormatDuration(kept_ms)},
                {"cost", "what Redis forgets of it does not come back"},
                {"next", "give --spill-max-bytes or the disk more room, or shorten --retain"}});
  }
  return found->bytes;
}

}  // namespace sprockets
