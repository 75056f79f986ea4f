// What the tests of the storage share: a folder that goes away, events that own their bytes, and processes that die.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <signal.h>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/spill/file.h"
#include "shared/spill/sqlite.h"

namespace sprockets::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "sprockets-storage-XXXXXX").native();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    path_ = std::filesystem::canonical(path);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The value of a Result that must be there, or a failed test that says why it is not.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) FAIL(result.error().message);
  return std::move(result).value();
}

inline void Must(const Status& status) {
  if (!status.ok()) FAIL(status.error().message);
}

inline std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void WriteBytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// Two connections of one life of a server, and one of another.
inline const ConnectionId kFirst{"run-a", 7};
inline const ConnectionId kSecond{"run-a", 9};
inline const ConnectionId kOtherLife{"run-b", 3};

/// An event with bytes of its own; its id is the first field named event_id.
struct OwnedEvent {
  std::string stream;
  std::vector<std::string> fields;  // name, value, …
  std::vector<std::string> options;

  EventView View() const {
    EventView view;
    view.stream = stream;
    view.options.assign(options.begin(), options.end());
    view.fields.assign(fields.begin(), fields.end());
    for (size_t at = 0; at < fields.size() && !view.has_event_id(); at += 2) {
      if (fields[at] == "event_id") view.event_id_at = at + 1;
    }
    return view;
  }
  bool operator==(const OwnedEvent&) const = default;
};

inline OwnedEvent Bounty(int n) {
  return {"bounty-stream", {"github_id", std::to_string(n), "amount", "150", "event_id", "e-" + std::to_string(n)}, {}};
}

/// A SpilledEvent that outlives its visit.
struct OwnedRow {
  explicit OwnedRow(const SpilledEvent& spilled)
      : ticket(spilled.ticket),
        received_ms(spilled.received_ms),
        doubt(spilled.doubt),
        own_id(spilled.own_id),
        id(spilled.id),
        origin(spilled.origin) {
    event.stream = spilled.event.stream;
    event.fields.assign(spilled.event.fields.begin(), spilled.event.fields.end());
    event.options.assign(spilled.event.options.begin(), spilled.event.options.end());
    event_id_at = spilled.event.event_id_at;
  }
  int64_t ticket;
  int64_t received_ms;
  std::optional<Doubt> doubt;
  bool own_id;
  std::optional<StreamId> id;
  int64_t origin;
  OwnedEvent event;
  size_t event_id_at = 0;
};

inline SpillWriter::Options WriterOptions(int64_t number = 1) {
  SpillWriter::Options options;
  options.number = number;
  options.producer = "prod";
  options.event_id_field = "event_id";
  options.begun_ms = 1'700'000'000'000;
  options.database = 3;
  options.server = "redis://127.0.0.1:6379";
  return options;
}

/// Commits `events` as one transaction, with tickets from `first_ticket` on.
inline void Spill(SpillWriter& writer, const std::vector<OwnedEvent>& events, int64_t first_ticket = 1) {
  std::vector<EventView> views;
  for (const OwnedEvent& event : events) views.push_back(event.View());
  std::vector<SpillRow> rows;
  for (const EventView& view : views) rows.push_back({first_ticket++, 1000, &view, nullptr, {}});
  Must(writer.Begin());
  Must(writer.AppendAll(rows));
  Must(writer.Commit());
}

/// The entry that row `ticket` of a journal becomes, if nothing moves it.
inline StreamId EntryOf(int64_t ticket) {
  constexpr uint64_t kTag = 77;
  return {1'700'000'000'000, (kTag << 32) + (static_cast<uint64_t>(ticket) << 16)};
}

inline SpillWriter::Options JournalOptions(int64_t number = 1) {
  SpillWriter::Options options = WriterOptions(number);
  options.names_entries = true;
  return options;
}

/// As Spill, into a journal.
inline void SpillNamed(SpillWriter& writer, const std::vector<OwnedEvent>& events, int64_t first_ticket = 1) {
  Must(writer.Begin());
  for (const OwnedEvent& event : events) {
    Must(writer.Append(first_ticket, 1000, event.View(), std::nullopt, {}, EntryOf(first_ticket)));
    ++first_ticket;
  }
  Must(writer.Commit());
}

/// Of the event whose first row is `origin`, under the name of the new row's ticket. Within a transaction.
inline void AppendMoved(SpillWriter& writer, const OwnedEvent& event, int64_t ticket, int64_t origin) {
  Must(writer.Append(ticket, 1000, event.View(), std::nullopt, {}, EntryOf(ticket), origin));
}

inline std::vector<OwnedRow> ReadAll(SpillFile& file) {
  std::vector<OwnedRow> rows;
  for (const SpilledStream& stream : Must(file.Streams())) {
    Must(file.Visit(stream, 0, 0, [&rows](const SpilledEvent& spilled) {
      rows.emplace_back(spilled);
      return true;
    }));
  }
  return rows;
}

/// The only file of the folder.
inline SpillFileInfo OnlyFile(const SpillFolder& folder) {
  const std::vector<SpillFileInfo> files = Must(folder.List());
  REQUIRE(files.size() == 1);
  return files[0];
}

/// Runs `body` in a process of its own that is killed at the end of it, with everything open. False if it ended
/// otherwise.
template <typename Body>
bool RunAndKill(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/// Runs `body` in a process of its own; its answer.
template <typename Body>
int RunApart(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace sprockets::testing
