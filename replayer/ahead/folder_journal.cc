#include "replayer/ahead/folder_journal.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "shared/base/text.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

/// Keeps a row of this file aside, if it is one.
Result<bool> RejectIn(SpillFile& file, const std::string& name, int64_t ticket, std::string_view why) {
  if (!file.names_entries()) return false;
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.UncountedStreams());
  for (const SpilledStream& stream : streams) {
    if (stream.name != name || stream.last_ticket < ticket) continue;
    bool is_here = false;
    const auto found = [&](const SpilledEvent&) { return !(is_here = true); };
    RETURN_IF_ERROR(file.Visit(stream, ticket - 1, ticket, found));
    if (is_here) RETURN_IF_ERROR(file.Reject(stream.id, ticket, why, stream.cursor));
    return is_here;
  }
  return false;
}

}  // namespace

// ---- What the forwarder asks for

void FolderJournal::ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) {
  Read(stream, {stream.name, request, /*down=*/false, above, up_to});
}

void FolderJournal::ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) {
  Read(stream, {stream.name, request, /*down=*/true, above, below});
}

// A stream has one read at a time: whoever asks again has forgotten the last one.
void FolderJournal::Read(AheadStream& stream, JournalRead read) {
  std::erase_if(reads_, [&](const JournalRead& other) { return other.stream == stream.name; });
  reads_.push_back(std::move(read));
}

void FolderJournal::Move(AheadStream& stream, std::vector<JournalRow> rows) {
  moved_.push_back({&stream, std::move(rows)});
}

void FolderJournal::Reject(AheadStream& stream, int64_t ticket, std::string_view why) {
  rejected_.push_back({stream.name, ticket, std::string(why)});
}

// ---- What is done about it

Result<bool> FolderJournal::Work(Forwarder* forwarder) {
  bool worked = false;
  for (; !rejected_.empty(); rejected_.pop_front(), worked = true) RETURN_IF_ERROR(KeepAside(rejected_.front()));
  for (; !moved_.empty(); worked = true) {
    Moved moved = std::move(moved_.front());
    moved_.pop_front();
    RETURN_IF_ERROR(Write(std::move(moved), forwarder));
  }
  for (size_t left = reads_.size(); left > 0; --left) {
    const JournalRead read = std::move(reads_.front());
    reads_.pop_front();
    AheadStream& stream = *forwarder->FindStream(read.stream);
    RETURN_IF_ERROR(MakeReadable(stream, read, forwarder));
    std::optional<JournalPage> page = pages_.Read(read);
    if (page) {
      forwarder->OnPage(stream, *std::move(page));
      worked = true;
    } else {
      reads_.push_back(read);
    }
  }
  return worked;
}

Status FolderJournal::Write(Moved moved, Forwarder* forwarder) {
  report_.Warn(
      "entries-moved",
      {{"stream", Escape(moved.stream->name)}, {"rows", moved.rows.size()}, {"why", "other writers overtook them"}});
  pages_.CloseFiles();
  RETURN_IF_ERROR(moves_.Write(&moved.rows));
  forwarder->OnMoved(*moved.stream, std::move(moved.rows));
  return {};
}

/// A file that is being written belongs to its writer.
Status FolderJournal::MakeReadable(const AheadStream& stream, const JournalRead& read, Forwarder* forwarder) {
  const StreamId readable = readable_.try_emplace(stream.name, stream.committed_before).first->second;
  if (read.to <= readable || stream.rows.committed() <= readable) return {};
  RETURN_IF_ERROR(moves_.Seal());
  for (const auto& [name, each] : forwarder->streams()) readable_[name] = each->rows.committed();
  return {};
}

Status FolderJournal::KeepAside(const Rejected& rejected) {
  const auto& [name, ticket, why] = rejected;
  report_.Warn("entry-rejected", {{"stream", Escape(name)}, {"ticket", ticket}, {"why", why}});
  pages_.CloseFiles();
  RETURN_IF_ERROR(moves_.Seal());
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder_.List());
  for (const SpillFileInfo& info : files) {
    if (info.quarantined || info.state == SpillFileInfo::State::kDrained) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder_.OpenFile(info));
    ASSIGN_OR_RETURN(const bool is_here, RejectIn(*file, name, ticket, why));
    RETURN_IF_ERROR(file->Close());
    if (is_here) return {};
  }
  return {};
}

Status FolderJournal::Close() {
  pages_.CloseFiles();
  return moves_.Seal();
}

}  // namespace sprockets
