// What the tests of the drain share beside the stage.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "shared/spill/sqlite_file.h"
#include "tests/replayer/fixture.h"

namespace sprockets::testing {

/// Many events e0, e1, … of one stream.
inline std::vector<TestEvent> Many(const std::string& stream, int count, const std::string& prefix = "e") {
  std::vector<TestEvent> events;
  for (int i = 0; i < count; ++i) events.push_back(Event(stream, prefix + std::to_string(i)));
  return events;
}

inline Strings Ids(int count, const std::string& prefix = "e") {
  Strings ids;
  for (int i = 0; i < count; ++i) ids.push_back(prefix + std::to_string(i));
  return ids;
}

/// XADDs an event as a sidecar (or a drain that was killed) had done it.
inline StreamId Add(const PrivateRedis& redis, const TestEvent& event) {
  Strings command{"XADD", event.stream, "*"};
  command.insert(command.end(), event.fields.begin(), event.fields.end());
  return ParseStreamId(redis.Text(command)).value();
}

/// Changes a file as a drain that was killed would have left it.
inline void Leave(const Stage& stage, int64_t number,
                  const std::function<void(SpillFile&, const SpilledStream&)>& change) {
  for (const SpillFileInfo& info : stage.Files()) {
    if (info.number != number) continue;
    SqliteFile file = SqliteFile::Open(info).value();
    const std::vector<SpilledStream> streams = file.Streams().value();
    change(file, streams.front());
    REQUIRE(file.Close().ok());
  }
}

/// Until the stream `s` has at least so many entries.
inline void AwaitEvents(const Stage& stage, size_t count) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (EventIds(stage.redis, "s").size() < count) {
    REQUIRE(std::chrono::steady_clock::now() < until);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

inline int64_t LastTicketOf(SpillFile& file, const SpilledStream& stream, int64_t rows) {
  int64_t last = 0;
  REQUIRE(file.Visit(stream, 0, 0,
                     [&](const SpilledEvent& event) {
                       last = event.ticket;
                       return --rows > 0;
                     })
              .ok());
  return last;
}

}  // namespace sprockets::testing
