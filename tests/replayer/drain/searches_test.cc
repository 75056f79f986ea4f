// How often a stream is read for what is in doubt.
#include <catch2/catch.hpp>

#include "tests/replayer/fixture.h"

namespace sprockets::testing {
namespace {

constexpr int kEntries = 40'000;
constexpr int kFiles = 8;

int64_t SearchPages(const PrivateRedis& redis) {
  const std::string stats = redis.Text({"INFO", "commandstats"});
  const size_t at = stats.find("cmdstat_xrange:calls=");
  return at == std::string::npos ? 0 : std::stoll(stats.substr(at + std::string("cmdstat_xrange:calls=").size()));
}

TEST_CASE("after a restart of Redis a stream is read once for the doubts of all files") {
  Stage stage;
  const ConnectionId old_life{std::string(40, 'a'), 4242};
  for (int i = 0; i < kEntries; i += 1000) {
    Strings script{"EVAL", "for i = 1, 1000 do redis.call('XADD', KEYS[1], '*', 'event_id', ARGV[1] .. i) end", "1",
                   "s", "n" + std::to_string(i) + "-"};
    stage.redis.Text(script);
  }
  const TestEvent landed{"s", {"event_id", "n0-7"}, {}, std::nullopt};
  for (int i = 0; i < kFiles; ++i) {
    const std::string number = std::to_string(i);
    WriteSpillFile(stage.folder, {InDoubt(landed, kStreamBegin, old_life),
                                  InDoubt(Event("s", "lost" + number), kStreamBegin, old_life),
                                  InDoubt(Event("s", "twin"), kStreamBegin, old_life), Event("s", "certain" + number)});
  }
  const int64_t before = SearchPages(stage.redis);
  const Run run = stage.Drain();
  CHECK(run.exit_code == 0);
  CHECK(run.json["already_there"] == kFiles + kFiles - 1);
  CHECK(run.json["landed"] == 2 * kFiles + 1);
  // One reading takes about ten pages; then each file asks for the new end of the stream once.
  CHECK(SearchPages(stage.redis) - before < 16 + 2 * kFiles);
}

}  // namespace
}  // namespace sprockets::testing
