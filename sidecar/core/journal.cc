#include "sidecar/core/journal.h"

#include <utility>

#include "shared/redis/resp.h"

namespace sprockets {

// ---- Reading

void Journal::ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) {
  Read(stream, {stream.name, request, /*down=*/false, above, up_to});
}

void Journal::ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) {
  Read(stream, {stream.name, request, /*down=*/true, above, below});
}

// Rows that were committed before this life lie in files that nobody writes to.
void Journal::Read(AheadStream& stream, JournalRead read) {
  // A stream has one read at a time: whoever asks again has forgotten the last one.
  std::erase_if(waiting_, [&](const JournalRead& other) { return other.stream == read.stream; });
  std::erase_if(parts_, [&](const auto& other) { return other.second.stream == read.stream; });
  const auto readable = readable_.try_emplace(stream.name, stream.committed_before).first;
  if (read.to <= readable->second || stream.rows.committed() <= readable->second)
    return work_->ReadPage(std::move(read));
  if (read.down || read.above >= readable->second) return WaitForSeal(std::move(read));
  // There may be enough to read meanwhile.
  parts_[read.request] = read;
  read.to = readable->second;
  work_->ReadPage(std::move(read));
}

void Journal::WaitForSeal(JournalRead read) {
  waiting_.push_back(std::move(read));
  if (!std::exchange(sealing_, true)) work_->SealActive();
}

// What was committed when the seal came is what the forwarder knows of: the outcomes came before.
void Journal::OnSealed(bool sealed) {
  sealing_ = false;
  if (!sealed) return;  // KeepHouse asks again
  for (const auto& [name, stream] : forwarder_->streams()) readable_[name] = stream->rows.committed();
  for (JournalRead& read : std::exchange(waiting_, {})) work_->ReadPage(std::move(read));
}

void Journal::KeepHouse() {
  if (!waiting_.empty() && !std::exchange(sealing_, true)) work_->SealActive();
}

void Journal::OnPage(const std::string& stream, JournalPage page) {
  if (const auto part = parts_.extract(page.request); !part.empty()) {
    if (page.rows.empty()) return WaitForSeal(std::move(part.mapped()));
    page.is_last = false;
  }
  forwarder_->OnPage(*forwarder_->FindStream(stream), std::move(page));
}

// ---- Writing

void Journal::Move(AheadStream&, std::vector<JournalRow> rows) {
  for (const JournalRow& row : rows) {
    std::vector<std::string_view> words;
    SPROCKETS_ASSERT(ParseWholeCommand(row.xadd, &words));
    words[row.id_word] = "*";
    SpillRequest request;
    request.event = std::make_unique<PendingEvent>();
    AppendCommand(request.event->wire, words);
    request.id = row.id;
    request.origin = row.origin;
    work_->SpillMoved(std::move(request));
  }
}

void Journal::Reject(AheadStream& stream, int64_t ticket, std::string_view why) {
  work_->KeepRejected(stream.name, ticket, why);
}

}  // namespace sprockets
