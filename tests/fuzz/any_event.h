// Events of any bytes, as the door could let them through.
#pragma once

#include <cstdint>
#include <fuzzer/FuzzedDataProvider.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/event.h"
#include "shared/spill/file.h"

namespace sprockets::fuzz {

inline constexpr std::string_view kEventIdField = "event_id";

/// Has its bytes, and an id in the first field of that name.
struct AnyEvent {
  std::string stream;
  std::vector<std::string> options;
  std::vector<std::string> fields;  // name, value, …

  EventView View() const {
    EventView view;
    view.stream = stream;
    view.options.assign(options.begin(), options.end());
    view.fields.assign(fields.begin(), fields.end());
    for (size_t at = 0; at < fields.size() && !view.has_event_id(); at += 2) {
      if (fields[at] == kEventIdField) view.event_id_at = at + 1;
    }
    return view;
  }
};

/// One event out of the input; well-formed even when the input has come to its end.
inline AnyEvent TakeEvent(FuzzedDataProvider& input) {
  constexpr size_t kMaxWordBytes = 40;
  AnyEvent event;
  event.stream = input.ConsumeRandomLengthString(kMaxWordBytes);
  if (event.stream.empty()) event.stream = "s";
  if (input.ConsumeBool()) event.options = {"MAXLEN", "~", std::to_string(input.ConsumeIntegral<uint16_t>())};
  const size_t id_at = input.ConsumeIntegralInRange<size_t>(0, 6);
  const size_t others = input.ConsumeIntegralInRange<size_t>(0, 6);
  for (size_t i = 0; i <= others; ++i) {
    if (i == std::min(id_at, others)) {
      event.fields.emplace_back(kEventIdField);
      event.fields.push_back("e" + input.ConsumeRandomLengthString(kMaxWordBytes));
    }
    if (i == others) break;
    event.fields.push_back(input.ConsumeRandomLengthString(kMaxWordBytes));
    event.fields.push_back(input.ConsumeRandomLengthString(kMaxWordBytes));
  }
  return event;
}

/// A row of a spill file that outlives the visit.
struct Row {
  int64_t ticket = 0;
  int64_t received_ms = 0;
  std::string stream;
  std::vector<std::string> options;
  std::vector<std::string> fields;
  size_t event_id_at = 0;
  bool in_doubt = false;
  StreamId anchor;
  std::string run_id;
  int64_t client_id = 0;
  std::optional<StreamId> id;
  int64_t origin = 0;

  Row() = default;
  explicit Row(const SpilledEvent& spilled)
      : Row(spilled.ticket, spilled.received_ms, spilled.event, spilled.doubt, spilled.id, spilled.origin) {}
  Row(int64_t row_ticket, int64_t row_received_ms, const EventView& event, const std::optional<Doubt>& doubt,
      std::optional<StreamId> row_id, int64_t row_origin)
      : ticket(row_ticket),
        received_ms(row_received_ms),
        stream(event.stream),
        options(event.options.begin(), event.options.end()),
        fields(event.fields.begin(), event.fields.end()),
        event_id_at(event.event_id_at),
        in_doubt(doubt.has_value()),
        id(row_id),
        origin(row_origin) {
    if (!doubt) return;
    anchor = doubt->anchor;
    if (!doubt->connection) return;
    run_id = doubt->connection->run_id;
    client_id = doubt->connection->client_id;
  }
  bool operator==(const Row&) const = default;
};

}  // namespace sprockets::fuzz
