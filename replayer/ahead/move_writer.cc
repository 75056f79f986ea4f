#include "replayer/ahead/move_writer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "shared/base/clock.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr int64_t kSealBytes = 64ll << 20;
constexpr int64_t kMostBytes = 1ll << 30;  // as much as SQLite may make of one transaction behind that

/// The row's event, without its id. The views point into the row.
bool ReadEvent(const JournalRow& row, std::string_view event_id_field, EventView* event) {
  std::vector<std::string_view> words;
  SPROCKETS_ASSERT(ParseWholeCommand(row.xadd, &words));
  words[row.id_word] = "*";
  return ParseXadd(words, event_id_field, event).ok() && event->has_event_id();
}

}  // namespace

/// A journal has one name for the field that holds the event's id, and others may have another.
Result<std::string> MoveWriter::EventIdFieldOf(const JournalRow& row) const {
  EventView event;
  for (const std::string& field : origin_.event_id_fields) {
    if (ReadEvent(row, field, &event)) return field;
  }
  return Error{ErrorCode::kCorrupt, "the event of ticket " + std::to_string(row.origin) + " has no event id"};
}

Status MoveWriter::Write(std::vector<JournalRow>* rows) {
  for (size_t begin = 0; begin < rows->size();) {
    ASSIGN_OR_RETURN(const std::string field, EventIdFieldOf((*rows)[begin]));
    size_t end = begin + 1;
    EventView event;
    while (end < rows->size() && ReadEvent((*rows)[end], field, &event)) ++end;
    RETURN_IF_ERROR(WritePart(rows->data() + begin, end - begin, field));
    begin = end;
  }
  return {};
}

Status MoveWriter::WritePart(JournalRow* rows, size_t count, const std::string& event_id_field) {
  if (file_ != nullptr && (event_id_field_ != event_id_field || file_->FileBytes() >= kSealBytes))
    RETURN_IF_ERROR(Seal());
  if (file_ == nullptr) RETURN_IF_ERROR(Open(event_id_field));
  std::vector<EventView> events(count);
  std::vector<SpillRow> spilled(count);
  for (size_t i = 0; i < count; ++i) {
    SPROCKETS_ASSERT(ReadEvent(rows[i], event_id_field, &events[i]));
    ASSIGN_OR_RETURN(rows[i].ticket, state_->NextTicket());
    spilled[i] = {.ticket = rows[i].ticket,
                  .received_ms = WallClockMs(),
                  .event = &events[i],
                  .doubt = nullptr,
                  .stream_tail = {},
                  .id = rows[i].id,
                  .origin = rows[i].origin};
  }
  Status written = file_->Begin();
  if (written.ok()) written = file_->AppendAll(spilled);
  if (written.ok()) written = file_->Commit();
  if (written.ok()) written = file_->CheckpointIfDue();
  if (written.ok()) return {};
  // Nobody may write to it again. What it holds of these rows counts if it can be read: nothing of it was sent.
  const int64_t number = file_->number();
  file_->Abandon();
  file_.reset();
  RETURN_IF_ERROR(folder_.MarkSuspect(number));
  return written;
}

Status MoveWriter::Open(const std::string& event_id_field) {
  ASSIGN_OR_RETURN(const int64_t number, folder_.NextNumber());
  SpillWriterOptions options;
  options.number = number;
  options.producer = origin_.producer;
  options.event_id_field = event_id_field;
  options.begun_ms = WallClockMs();
  options.max_bytes = kMostBytes;
  options.database = origin_.database;
  options.server = origin_.server;
  options.names_entries = true;
  ASSIGN_OR_RETURN(file_, folder_.CreateActive(options));
  event_id_field_ = event_id_field;
  return {};
}

Status MoveWriter::Seal() {
  if (file_ == nullptr) return {};
  const int64_t number = file_->number();
  const Status sealed = std::exchange(file_, nullptr)->Seal(folder_);
  if (!sealed.ok()) RETURN_IF_ERROR(folder_.MarkSuspect(number));
  return sealed;
}

}  // namespace sprockets
