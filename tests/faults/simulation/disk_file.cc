#include "tests/faults/simulation/disk_file.h"

#include <algorithm>

namespace sprockets::sim {
namespace {

SpilledEvent ViewOf(const DiskStream& stream, const DiskRow& row) {
  SpilledEvent event;
  event.ticket = row.ticket;
  event.received_ms = row.received_ms;
  event.doubt = row.doubt;
  event.own_id = row.own_id;
  event.id = row.id;
  event.origin = row.origin;
  event.event.stream = stream.name;
  event.event.options.assign(row.options.begin(), row.options.end());
  event.event.fields.assign(row.fields.begin(), row.fields.end());
  event.event.event_id_at = row.event_id_at;
  return event;
}

}  // namespace

Result<std::vector<SpilledStream>> SimulatedFile::Streams() {
  std::vector<SpilledStream> streams;
  for (const DiskStream& stream : file().streams) {
    SpilledStream spilled;
    spilled.id = stream.id;
    spilled.name = spilled.table = stream.name;
    spilled.rows = static_cast<int64_t>(stream.rows.size());
    spilled.last_ticket = stream.rows.empty() ? 0 : stream.rows.back().ticket;
    spilled.tail = stream.tail;
    spilled.cursor = stream.cursor;
    spilled.led_to = stream.led_to;
    spilled.rejected = std::count_if(file().rejected.begin(), file().rejected.end(),
                                     [&](const Rejected& row) { return row.stream_id == stream.id; });
    spilled.rows_left = std::count_if(stream.rows.begin(), stream.rows.end(),
                                      [&](const DiskRow& row) { return row.ticket > stream.cursor.done_ticket; });
    streams.push_back(std::move(spilled));
  }
  return streams;
}

Result<std::vector<std::pair<std::string, std::string>>> SimulatedFile::RenamedStreams() {
  std::vector<std::pair<std::string, std::string>> renamed;
  for (const DiskStream& stream : file().streams) {
    for (const LedTo& place : stream.led_to) {
      if (place.target != stream.name) renamed.emplace_back(stream.name, place.target);
    }
  }
  return renamed;
}

DiskStream& SimulatedFile::StreamOf(int64_t id) const {
  auto& streams = file().streams;
  return *std::find_if(streams.begin(), streams.end(), [id](const DiskStream& stream) { return stream.id == id; });
}

Result<std::vector<SpillFile::Move>> SimulatedFile::Moves() {
  std::vector<Move> moves;
  for (const DiskStream& stream : file().streams) {
    for (const DiskRow& row : stream.rows) {
      if (row.origin != 0) moves.push_back({stream.id, row.ticket, row.origin});
    }
  }
  return moves;
}

Result<int64_t> SimulatedFile::CountAfter(const SpilledStream& stream, int64_t after,
                                          std::span<const int64_t> but_not) {
  const std::vector<DiskRow>& rows = StreamOf(stream.id).rows;
  return std::count_if(rows.begin(), rows.end(), [&](const DiskRow& row) {
    return row.ticket > after && std::find(but_not.begin(), but_not.end(), row.ticket) == but_not.end();
  });
}

Status SimulatedFile::Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
                            const std::function<bool(const SpilledEvent&)>& visitor,
                            const std::function<void(int64_t, std::string_view)>&) {
  const DiskStream copy = StreamOf(stream.id);
  for (const DiskRow& row : copy.rows) {
    if (row.ticket <= after || (up_to != 0 && row.ticket > up_to)) continue;
    if (!visitor(ViewOf(copy, row))) break;
  }
  return {};
}

Status SimulatedFile::VisitDoubts(const SpilledStream& stream, int64_t after,
                                  const std::function<bool(const SpilledEvent&)>& visitor) {
  return Visit(stream, after, 0, [&](const SpilledEvent& event) { return !event.doubt || visitor(event); });
}

Status SimulatedFile::VisitNewestFirst(const SpilledStream& stream, int64_t after, int64_t up_to,
                                       const std::function<bool(const SpilledEvent&)>& visitor,
                                       const std::function<void(int64_t, std::string_view)>&) {
  const DiskStream copy = StreamOf(stream.id);
  for (auto row = copy.rows.rbegin(); row != copy.rows.rend(); ++row) {
    if (row->ticket <= after || (up_to != 0 && row->ticket > up_to)) continue;
    if (!visitor(ViewOf(copy, *row))) break;
  }
  return {};
}

Result<int64_t> SimulatedFile::FinishAsSealed() {
  int64_t rows = 0;
  for (const DiskStream& stream : file().streams) rows += static_cast<int64_t>(stream.rows.size());
  return rows;
}

Status SimulatedFile::AddConnection(const ConnectionId& connection) {
  world_->Step("drain: list connection");
  AddOnce(file().connections, connection);
  world_->Step("drain: listed connection");
  return {};
}

Status SimulatedFile::KeepLedTo(int64_t stream_id, const LedTo& place) {
  world_->Step("drain: keep place");
  StreamOf(stream_id).led_to.push_back(place);
  return {};
}

Status SimulatedFile::SaveCursor(int64_t stream_id, const Cursor& cursor) {
  world_->Step("drain: save cursor");
  DiskStream& stream = StreamOf(stream_id);
  stream.cursor = cursor;
  if (const auto place = LedElsewhere(cursor, stream.name)) stream.led_to.push_back(*place);
  world_->Step("drain: saved cursor");
  return {};
}

Status SimulatedFile::Reject(int64_t stream_id, int64_t ticket, std::string_view reason, const Cursor& cursor) {
  file().rejected.push_back({stream_id, ticket, std::string(reason)});
  return SaveCursor(stream_id, cursor);
}

Status SimulatedFile::Accept(int64_t stream_id, std::span<const int64_t> tickets) {
  std::erase_if(file().rejected, [&](const Rejected& row) {
    return row.stream_id == stream_id && std::find(tickets.begin(), tickets.end(), row.ticket) != tickets.end();
  });
  return {};
}

Status SimulatedFile::MarkDrained(int64_t now_ms) {
  file().drained_ms = now_ms;
  return {};
}

Status SimulatedFile::ResetCursors() {
  file().drained_ms = 0;
  for (DiskStream& stream : file().streams) stream.cursor = {};
  return {};
}

}  // namespace sprockets::sim
