#include "shared/journal/journal_pages.h"

#include <algorithm>
#include <limits>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/spill/file_trouble.h"
#include "shared/spill/journal_index.h"

namespace sprockets {

namespace {

constexpr size_t kMostOpen = 4;

}  // namespace

// Files are chosen by the ids that they hold, not by their numbers: a salvaged one has a new number, and old rows.
// Where two files hold the same row, because its COMMIT had failed in one, it is passed in the second.
std::optional<JournalPage> JournalPages::Read(const JournalRead& read) {
  Reading reading{.read = read, .stream = NumberOf(read.stream), .at = read.down ? read.to : read.above};
  reading.page.request = read.request;
  const auto place = places_.find(reading.stream);
  const bool goes_on = place != places_.end() && place->second.down == read.down && place->second.id == reading.at;
  if (goes_on) {
    reading.place = place->second;
  } else if (!List().ok()) {
    return std::nullopt;
  } else {
    reading.listed = true;
  }
  bool is_late = false;
  while (!reading.full && !reading.past_end && !is_late) {
    File* file = nullptr;
    const Chosen chosen = Choose(&reading, &file);
    if (chosen == Chosen::kOne) {
      const int64_t number = file->info.number;
      if (const Status done = ReadFrom(*file, &reading); !done.ok()) is_late = !HandleTrouble(done.error(), number);
    } else if (chosen == Chosen::kNotNow) {
      is_late = true;
    } else if (std::exchange(reading.listed, true)) {
      reading.past_end = true;
    } else {
      is_late = !List().ok();
    }
  }
  if (is_late && reading.page.rows.empty()) return std::nullopt;
  reading.page.is_last = reading.past_end;
  if (reading.place) places_[reading.stream] = *reading.place;
  return std::move(reading.page);
}

/// What cannot be listed now is tried again, as a file is.
Status JournalPages::List() {
  const Result<std::vector<SpillFileInfo>> listed = folder_.List();
  if (!listed.ok()) {
    Complain(0, listed.error().message);
    return listed.error();
  }
  Files files;
  for (const SpillFileInfo& info : listed.value()) {
    const bool is_written = info.state == SpillFileInfo::State::kActive && !info.suspect;
    if (is_written || info.quarantined || info.state == SpillFileInfo::State::kDrained) continue;
    const auto known = files_.find(info.number);
    if (known != files_.end() && known->second.info.path == info.path) {
      files.insert(files_.extract(known));
    } else {
      files.emplace(info.number, File{info});
    }
  }
  files_ = std::move(files);
  std::erase_if(open_, [this](const Open& open) { return !files_.contains(open.number); });
  return {};
}

// The file that holds the next row; those that have not been asked yet are asked now. Most often the files' ranges lie
// one behind the other.
JournalPages::Chosen JournalPages::Choose(Reading* reading, File** chosen) {
  const bool down = reading->read.down;
  const auto is_before = [down](StreamId a, StreamId b) { return down ? a > b : a < b; };
  candidates_.clear();
  for (auto next = files_.begin(); next != files_.end();) {
    File& file = (next++)->second;  // it may be struck off
    if (const Status prepared = Prepare(file, *reading); !prepared.ok()) {
      if (!HandleTrouble(prepared.error(), file.info.number)) return Chosen::kNotNow;
      continue;
    }
    Part* const part = file.PartOf(reading->stream);
    if (part == nullptr || part->last < part->first) continue;
    const bool has_some = down ? part->first < reading->at && part->last > reading->read.above
                               : part->last > reading->at && part->first <= reading->read.to;
    if (has_some) candidates_.push_back({&file, part, down ? part->last : part->first});
  }
  reading->until.reset();
  if (candidates_.empty()) return Chosen::kNone;
  const auto best = std::min_element(candidates_.begin(), candidates_.end(),
                                     [&](const Candidate& a, const Candidate& b) { return is_before(a.next, b.next); });
  const StreamId end = down ? best->part->first : best->part->last;
  const auto overlaps = [&](const Candidate& each) { return each.part != best->part && !is_before(end, each.next); };
  if (std::any_of(candidates_.begin(), candidates_.end(), overlaps)) return ChooseAmongOverlapping(reading, chosen);
  *chosen = best->file;
  return Chosen::kOne;
}

// A failed COMMIT leaves rows in two files, and a journal that was salvaged after the clock had gone back lies in
// another one's range: then each file is asked which row it has next.
JournalPages::Chosen JournalPages::ChooseAmongOverlapping(Reading* reading, File** chosen) {
  const bool down = reading->read.down;
  const auto is_before = [down](StreamId a, StreamId b) { return down ? a > b : a < b; };
  const Candidate* best = nullptr;
  for (Candidate& candidate : candidates_) {
    const int64_t number = candidate.file->info.number;
    bool has_one = false;
    if (const Status asked = AskNext(*reading, &candidate, &has_one); !asked.ok()) {
      if (!HandleTrouble(asked.error(), number)) return Chosen::kNotNow;
      return Choose(reading, chosen);  // without that file
    }
    if (!has_one) continue;
    if (best == nullptr || is_before(candidate.next, best->next)) {
      if (best != nullptr) reading->until = best->next;
      best = &candidate;
    } else if (candidate.next == best->next) {
      reading->until = down ? Before(candidate.next) : *Next(candidate.next);  // the same row
    } else if (!reading->until || is_before(candidate.next, *reading->until)) {
      reading->until = candidate.next;
    }
  }
  if (best == nullptr) return Chosen::kNone;
  *chosen = best->file;
  return Chosen::kOne;
}

Status JournalPages::AskNext(const Reading& reading, Candidate* candidate, bool* has_one) {
  ASSIGN_OR_RETURN(SpillFile* const journal, OpenFile(*candidate->file));
  SpilledStream stream;
  stream.id = candidate->part->id;
  stream.name = reading.read.stream;
  stream.last_ticket = candidate->part->last_ticket;
  Part& part = *candidate->part;
  int64_t before = 0;
  if (part.asked_ticket > 0 && part.asked_id == reading.at) {
    before = part.asked_ticket - (reading.read.down ? 1 : 0);
  } else {
    ASSIGN_OR_RETURN(before, TicketBefore(*journal, *candidate->file, stream, reading));
  }
  const auto take = [&](const SpilledEvent& row) {
    candidate->next = part.asked_id = *row.id;
    part.asked_ticket = row.ticket;
    *has_one = true;
    return false;
  };
  const auto pass_over = [](int64_t, std::string_view) {};  // it is named when the row is read
  if (!reading.read.down) return journal->Visit(stream, before, 0, take, pass_over);
  return before > 0 ? journal->VisitNewestFirst(stream, 0, before, take, pass_over) : Status();
}

Status JournalPages::Prepare(File& file, const Reading& reading) {
  if (!file.asked) RETURN_IF_ERROR(AskStreams(file));
  Part* part = file.PartOf(reading.stream);
  return part == nullptr || part->bounds_known ? Status() : AskBounds(file, reading.read.stream, part);
}

JournalPages::Part* JournalPages::File::PartOf(uint32_t stream) {
  const auto part = std::lower_bound(parts.begin(), parts.end(), stream,
                                     [](const Part& each, uint32_t number) { return each.stream < number; });
  return part != parts.end() && part->stream == stream ? &*part : nullptr;
}

Result<SpillFile*> JournalPages::OpenFile(File& file) {
  const auto known =
      std::find_if(open_.begin(), open_.end(), [&](const Open& open) { return open.number == file.info.number; });
  if (known != open_.end()) {
    std::rotate(known, known + 1, open_.end());
    return open_.back().file.get();
  }
  if (open_.size() >= kMostOpen) open_.erase(open_.begin());
  ASSIGN_OR_RETURN(std::unique_ptr<SpillFile> opened, folder_.OpenFile(file.info));
  open_.push_back({file.info.number, std::move(opened)});
  return open_.back().file.get();
}

Status JournalPages::AskStreams(File& file) {
  ASSIGN_OR_RETURN(SpillFile* const journal, OpenFile(file));
  if (journal->names_entries()) {
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, journal->UncountedStreams());
    file.parts.reserve(streams.size());
    for (const SpilledStream& stream : streams) {
      Part& part = file.parts.emplace_back();
      part.stream = NumberOf(stream.name);
      part.id = stream.id;
      part.last_ticket = stream.last_ticket;
    }
    std::sort(file.parts.begin(), file.parts.end(), [](const Part& a, const Part& b) { return a.stream < b.stream; });
  }
  file.asked = true;
  return {};
}

Status JournalPages::AskBounds(File& file, std::string_view stream, Part* part) {
  ASSIGN_OR_RETURN(SpillFile* const journal, OpenFile(file));
  SpilledStream of_file;
  of_file.id = part->id;
  of_file.name = stream;
  part->first = {std::numeric_limits<uint64_t>::max(), std::numeric_limits<uint64_t>::max()};
  part->last = kStreamBegin;
  const auto pass_over = [](int64_t, std::string_view) {};  // it is named when the row is read
  RETURN_IF_ERROR(journal->Visit(
      of_file, 0, part->last_ticket,
      [&](const SpilledEvent& row) {
        part->first = *row.id;
        return false;
      },
      pass_over));
  RETURN_IF_ERROR(journal->VisitNewestFirst(
      of_file, 0, part->last_ticket,
      [&](const SpilledEvent& row) {
        part->last = *row.id;
        return false;
      },
      pass_over));
  part->bounds_known = true;
  return {};
}

Status JournalPages::ReadFrom(File& file, Reading* reading) {
  ASSIGN_OR_RETURN(SpillFile* const journal, OpenFile(file));
  const Part& part = *file.PartOf(reading->stream);
  SpilledStream stream;
  stream.id = part.id;
  stream.name = reading->read.stream;
  stream.last_ticket = part.last_ticket;
  ASSIGN_OR_RETURN(const int64_t before, TicketBefore(*journal, file, stream, *reading));
  const auto take = [&](const SpilledEvent& row) { return Take(row, file.info.number, reading); };
  const auto on_bad_row = [&](int64_t ticket, std::string_view defect) {
    LogError("journal-row-damaged", {{"file", file.info.path.filename().string()},
                                     {"stream", Escape(stream.name)},
                                     {"ticket", ticket},
                                     {"why", defect}});
  };
  if (reading->read.down) {
    if (before > 0) RETURN_IF_ERROR(journal->VisitNewestFirst(stream, 0, before, take, on_bad_row));
    if (!reading->full) reading->at = std::min(reading->at, reading->until ? *Next(*reading->until) : part.first);
  } else {
    RETURN_IF_ERROR(journal->Visit(stream, before, 0, take, on_bad_row));
    if (!reading->full) reading->at = std::max(reading->at, reading->until ? Before(*reading->until) : part.last);
  }
  return {};
}

/// Up: the ticket behind which the next row stands. Down: the ticket up to which it does.
Result<int64_t> JournalPages::TicketBefore(SpillFile& journal, const File& file, const SpilledStream& stream,
                                           const Reading& reading) {
  const bool down = reading.read.down;
  if (reading.place && reading.place->number == file.info.number && reading.place->id == reading.at)
    return reading.place->ticket - (down ? 1 : 0);
  if (down && reading.at == kStreamBegin) return 0;
  return LastTicketUpTo(journal, stream, down ? Before(reading.at) : reading.at);
}

/// False: the page ends before this row.
bool JournalPages::Take(const SpilledEvent& row, int64_t number, Reading* reading) const {
  const JournalRead& read = reading->read;
  const StreamId id = *row.id;
  const bool is_done = read.down ? id >= reading->at : id <= reading->at;
  if (is_done) return true;
  if (reading->until && (read.down ? id <= *reading->until : id >= *reading->until)) return false;
  reading->past_end = read.down ? id <= read.above : id > read.to;
  if (reading->past_end) return false;
  std::vector<JournalRow>& rows = reading->page.rows;
  reading->full = rows.size() >= page_rows_ || reading->bytes >= kPageBytes;
  if (reading->full) return false;
  rows.push_back(JournalRow::Of(row.ticket, row.origin == 0 ? row.ticket : row.origin, id, row.event));
  rows.back().salvaged = row.doubt.has_value();
  reading->bytes += rows.back().bytes();
  reading->at = id;
  reading->place = Place{number, row.ticket, id, read.down};
  return true;
}

// Damage does not pass, and what cannot be read for another reason may be there again: the next start decides about it.
bool JournalPages::HandleTrouble(const Error& error, int64_t number) {
  std::erase_if(open_, [number](const Open& open) { return open.number == number; });
  const auto file = files_.find(number);
  switch (error.code) {
    case ErrorCode::kNotFound:  // all that was in it had landed
      files_.erase(file);
      return true;
    case ErrorCode::kCorrupt:
      if (const Status set_aside = Quarantine(folder_, file->second.info, error); !set_aside.ok()) {
        Complain(number, set_aside.error().message);
        return false;
      }
      files_.erase(file);
      return true;
    case ErrorCode::kFull:
      // It has to be recovered before it can be read, for which the reserve is kept.
      (void)folder_.SpendReserve();
      [[fallthrough]];
    default:
      Complain(number, error.message);
      return false;
  }
}

void JournalPages::Complain(int64_t number, const std::string& why) {
  if (std::find(complained_.begin(), complained_.end(), number) != complained_.end()) return;
  complained_.push_back(number);
  LogWarning("journal-not-read", {{"number", number}, {"why", why}, {"next", "tried again"}});
}

uint32_t JournalPages::NumberOf(const std::string& stream) {
  return streams_.try_emplace(stream, static_cast<uint32_t>(streams_.size())).first->second;
}

}  // namespace sprockets
