// Journals, the files of --ack disk, as tests write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/spill/state_file.h"
#include "tests/replayer/fixture.h"

namespace sprockets::testing {

/// A row as a test writes it down.
struct TestRow {
  TestEvent event;
  int64_t ticket;
  int64_t origin = 0;
};

inline StreamId IdOf(int64_t ticket) {
  return {1'700'000'000'000, static_cast<uint64_t>(ticket) << 16};
}

template <typename T>
T Good(Result<T> result) {
  if (!result.ok()) FAIL(result.error().message);
  return std::move(result).value();
}

inline void Good(const Status& status) {
  if (!status.ok()) FAIL(status.error().message);
}

/// Writes the rows into a new journal and seals it. Its number.
inline int64_t WriteJournal(const SpillFolder& folder, const std::vector<TestRow>& rows, const std::string& server = "",
                            std::optional<int> database = std::nullopt) {
  SpillWriter::Options options;
  options.number = Good(folder.NextNumber());
  options.producer = "producer";
  options.event_id_field = "event_id";
  options.begun_ms = 1000;
  options.names_entries = true;
  options.server = server;
  options.database = database;
  auto writer = Good(folder.CreateActive(options));
  Good(writer->Begin());
  for (const auto& [event, ticket, origin] : rows) {
    EventView view;
    view.stream = event.stream;
    view.fields.assign(event.fields.begin(), event.fields.end());
    view.options.assign(event.options.begin(), event.options.end());
    view.event_id_at = 3;  // of what Event makes
    Good(writer->Append(ticket, 1000 + ticket, view, std::nullopt, {}, IdOf(ticket), origin));
  }
  Good(writer->Commit());
  Good(writer->Seal(folder));
  return options.number;
}

inline void NoteLanded(const SpillFolder& folder, const std::string& stream, int64_t ticket) {
  StateFile state = Good(StateFile::Open(folder, {}));
  Good(state.AddTag(5));
  Good(state.NoteLanded(std::vector<LandedMark>{{stream, IdOf(ticket), IdOf(ticket), "run", "replid"}}));
}

/// Two files of a stream: rows 1 to 3, then row 4, which moves 2, and row 5; the other stream's row 6.
inline void WriteTwoJournals(const SpillFolder& folder) {
  WriteJournal(folder, {{Event("s", "one"), 1}, {Event("s", "two"), 2}, {Event("s", "three"), 3}});
  WriteJournal(folder, {{Event("s", "two"), 4, 2}, {Event("s", "five"), 5}, {Event("t", "six"), 6}});
}

}  // namespace sprockets::testing
