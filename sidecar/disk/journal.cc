#include "sidecar/disk/journal.h"

#include <utility>

#include "shared/base/log.h"
#include "shared/redis/resp.h"

namespace sprockets {

Journal::Journal(uv_loop_t* loop, const LoopClock* clock, const SpillFolder& folder, Disk* disk)
    : clock_(clock),
      disk_(disk),
      pages_(new uv_async_t),
      reader_(folder, [async = pages_.get()] { uv_async_send(async); }) {
  const auto collect = [](uv_async_t* async) {
    if (async->data != nullptr) static_cast<Journal*>(async->data)->CollectPages();
  };
  SPROCKETS_ASSERT(uv_async_init(loop, pages_.get(), collect) == 0);
  pages_->data = this;
}

Journal::~Journal() {
  reader_.Join();
}

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
  if (read.to <= readable->second || stream.rows.committed() <= readable->second) return reader_.Queue(std::move(read));
  if (read.down || read.above >= readable->second) return WaitForSeal(std::move(read));
  // There may be enough to read meanwhile.
  parts_[read.request] = read;
  read.to = readable->second;
  reader_.Queue(std::move(read));
}

void Journal::WaitForSeal(JournalRead read) {
  waiting_.push_back(std::move(read));
  if (!std::exchange(sealing_, true)) disk_->Seal(0);
}

// What was committed when the seal came is what the forwarder knows of: the outcomes came before.
void Journal::OnSealed(const Sealed& sealed) {
  if (!sealed.status.ok()) {
    sealing_ = false;  // KeepHouse asks again
    return;
  }
  sealing_ = false;
  for (const auto& [name, stream] : forwarder_->streams()) readable_[name] = stream->rows.committed();
  for (JournalRead& read : std::exchange(waiting_, {})) reader_.Queue(std::move(read));
}

void Journal::KeepHouse() {
  if (!waiting_.empty() && !std::exchange(sealing_, true)) disk_->Seal(0);
}

void Journal::CollectPages() {
  for (JournalPageRead& read : reader_.Collect()) {
    AheadStream* stream = forwarder_->FindStream(read.stream);
    if (const auto part = parts_.extract(read.page.request); !part.empty()) {
      if (read.page.rows.empty()) {
        WaitForSeal(std::move(part.mapped()));
        continue;
      }
      read.page.is_last = false;
    }
    forwarder_->OnPage(*stream, std::move(read.page));
  }
}

void Journal::Stop() {
  waiting_.clear();
}

// ---- Writing

void Journal::Move(AheadStream& stream, std::vector<JournalRow> rows) {
  LogWarning("entries-moved", {{"stream", stream.name}, {"rows", rows.size()}, {"why", "other writers overtook them"}});
  for (const JournalRow& row : rows) {
    std::vector<std::string_view> words;
    SPROCKETS_ASSERT(ParseWholeCommand(row.xadd, &words));
    words[row.id_word] = "*";
    SpillRequest request;
    request.event = std::make_unique<PendingEvent>();
    AppendCommand(request.event->wire, words);
    request.event->received = clock_->Wall();
    request.id = row.id;
    request.origin = row.origin;
    disk_->Spill(std::move(request));
  }
}

void Journal::Reject(AheadStream& stream, int64_t ticket, std::string_view why) {
  LogError("entry-rejected", {{"stream", stream.name}, {"ticket", ticket}, {"why", why}});
  disk_->NoteRejected({stream.name, ticket, std::string(why)});
}

}  // namespace sprockets
