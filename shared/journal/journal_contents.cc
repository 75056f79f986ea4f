#include "shared/journal/journal_contents.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "shared/spill/file_trouble.h"

namespace sprockets {

namespace {

Status AddMoves(SpillFile& journal, JournalContents* contents, JournalFile* file) {
  ASSIGN_OR_RETURN(const std::vector<SpillFile::Move> moves, journal.Moves());
  for (const SpillFile::Move& move : moves) {
    file->lowest_origin = file->lowest_origin == 0 ? move.origin : std::min(file->lowest_origin, move.origin);
    int64_t& current = contents->current[move.origin];
    current = std::max(current, move.ticket);
  }
  return {};
}

Status AddFile(const SpillFolder& folder, const SpillFileInfo& info, JournalContents* contents) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> journal, folder.OpenFile(info));
  if (!journal->names_entries()) return {};
  ASSIGN_OR_RETURN(JournalFile file, ReadJournal(*journal));
  RETURN_IF_ERROR(AddMoves(*journal, contents, &file));
  for (const auto& [stream, last] : file.last_ids) {
    StreamId& committed = contents->committed[stream];
    committed = std::max(committed, last);
  }
  contents->files.push_back(std::move(file));
  return {};
}

}  // namespace

Result<JournalContents> ReadJournals(const SpillFolder& folder, std::span<const SpillFileInfo> files) {
  JournalContents contents;
  for (const SpillFileInfo& info : files) {
    if (info.quarantined || info.state == SpillFileInfo::State::kDrained) continue;  // no journal is ever drained
    const Status added = AddFile(folder, info, &contents);
    if (added.ok()) continue;
    switch (TroubleOf(added.error())) {
      case FileTrouble::kGone:
        break;
      case FileTrouble::kUnreadable:
        RETURN_IF_ERROR(Quarantine(folder, info, added.error()));
        break;
      case FileTrouble::kLater:
      case FileTrouble::kFatal:
        return added.error();
    }
  }
  return contents;
}

Result<JournalFile> ReadJournal(SpillFile& journal) {
  JournalFile file;
  file.number = journal.info().number;
  file.begun_ms = journal.begun_ms();
  file.changed_ms = journal.info().changed_ms;
  file.bytes = journal.info().bytes;
  ASSIGN_OR_RETURN(const std::vector<SpillFile::Rejected> rejected, journal.RejectedRows());
  file.has_rejected = !rejected.empty();
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, journal.UncountedStreams());
  for (const SpilledStream& stream : streams) {
    bool salvaged = false;
    const auto take = [&](const SpilledEvent& row) {
      salvaged = row.doubt.has_value();
      file.last_ids[stream.name] = *row.id;
      file.last_ticket = std::max(file.last_ticket, row.ticket);
      return false;
    };
    // A damaged row says nothing of its id; the one before it does.
    const auto pass_over = [](int64_t, std::string_view) {};
    RETURN_IF_ERROR(journal.VisitNewestFirst(stream, 0, 0, take, pass_over));
    if (!salvaged) continue;
    const auto take_first = [&](const SpilledEvent& row) {
      file.first_ids[stream.name] = *row.id;
      return false;
    };
    RETURN_IF_ERROR(journal.Visit(stream, 0, 0, take_first, pass_over));
  }
  return file;
}

}  // namespace sprockets
