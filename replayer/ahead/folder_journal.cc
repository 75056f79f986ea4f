#include "replayer/ahead/folder_journal.h"

#include <optional>
#include <utility>
#include <vector>

#include "shared/base/text.h"
#include "shared/journal/kept_aside.h"

namespace sprockets {
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
  bool worked = !rejected_.empty();
  RETURN_IF_ERROR(KeepRejected());
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

Status FolderJournal::KeepRejected() {
  for (; !rejected_.empty(); rejected_.pop_front()) RETURN_IF_ERROR(Keep(rejected_.front()));
  return {};
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

Status FolderJournal::Keep(const Rejected& rejected) {
  const auto& [stream, ticket, why] = rejected;
  report_.Warn("entry-rejected", {{"stream", Escape(stream)}, {"ticket", ticket}, {"why", why}});
  pages_.CloseFiles();
  RETURN_IF_ERROR(moves_.Seal());
  const Result<int64_t> kept = KeepAside(folder_, stream, ticket, why);
  return kept.ok() ? Status() : Status(kept.error());
}

Status FolderJournal::Close() {
  pages_.CloseFiles();
  return moves_.Seal();
}

}  // namespace sprockets
