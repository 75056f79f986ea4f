// What archive tells of itself: which streams are stalled, and a bounded number of series.
#include "replayer/archive/archive_report.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

constexpr int64_t kNowMs = 1'700'000'000'000;

ArchiveView ViewOf(StreamLag lag) {
  ArchiveView view;
  view.figures.streams = {{.name = "s", .pending = {}, .stopped = {}}};
  view.lags = {{"s", lag}};
  view.wall_ms = kNowMs;
  view.steady_ms = 100'000;
  view.stalled_after_ms = 60'000;
  return view;
}

std::string TextOfFigures(const ArchiveView& view) {
  Metrics metrics;
  AddFigures(view, &metrics);
  return metrics.Text();
}

StreamLag LagSince(int64_t steady_ms) {
  return {.unread = 3,
          .pending = 2,
          .oldest = StreamId{static_cast<uint64_t>(kNowMs - 7'000), 0},
          .oldest_wall_ms = kNowMs - 1'000,
          .oldest_steady_ms = steady_ms};
}

TEST_CASE("a stream is stalled once the same entry has been the oldest for too long") {
  CHECK(ReasonsOf(ViewOf(LagSince(40'001))).empty());
  const std::vector<ServiceReason> reasons = ReasonsOf(ViewOf(LagSince(40'000)));
  REQUIRE(reasons.size() == 1);
  CHECK(reasons[0].code == "stream-stalled");
  CHECK(reasons[0].stream == "s");
  CHECK(ReasonsOf(ViewOf({.unread = 0, .oldest = {}})).empty());
  CHECK(ReasonsOf(ViewOf({})).empty());
}

TEST_CASE("what was stopped or waits is told") {
  ArchiveView view = ViewOf(LagSince(0));
  view.figures.streams[0].stopped = "a table\nis missing";
  view.figures.reading_waits = view.figures.writing_waits = view.figures.unpublished = "why";
  std::vector<std::string> codes;
  for (const ServiceReason& reason : ReasonsOf(view)) codes.push_back(reason.code);
  CHECK(codes == std::vector<std::string>{"reading-waits", "writing-waits", "scores-wait", "stream-stopped"});
  CHECK(DetailsOf(view).at("streams")[0].at("stopped") == "a table\nis missing");
}

TEST_CASE("lag is counted in entries and in seconds, and left out where Redis cannot say it") {
  const std::string text = TextOfFigures(ViewOf(LagSince(99'000)));
  CHECK(text.find("sprockets_archive_lag_entries{stream=\"s\"} 5\n") != std::string::npos);
  CHECK(text.find("sprockets_archive_lag_seconds{stream=\"s\"} 7\n") != std::string::npos);
  StreamLag unknown = LagSince(99'000);
  unknown.unread.reset();
  unknown.oldest = StreamId{5, 0};  // no time: since it was seen
  const std::string less = TextOfFigures(ViewOf(unknown));
  CHECK(less.find("sprockets_archive_lag_entries") == std::string::npos);
  CHECK(less.find("sprockets_archive_lag_seconds{stream=\"s\"} 1\n") != std::string::npos);
}

TEST_CASE("1024 streams with the longest names are 101 labels and under 1 MB a scrape, each series once") {
  ArchiveView view = ViewOf({});
  view.figures.streams.clear();
  for (size_t i = 0; i < 1'024; ++i) {
    view.figures.streams.push_back(
        {.name = std::to_string(i) + std::string(1'000, '"'), .read = 1, .pending = {}, .stopped = {}});
    view.lags[view.figures.streams.back().name] = LagSince(99'000);
  }
  const std::string text = TextOfFigures(view);
  CHECK(text.size() < 1'000'000);
  CHECK(text.find("sprockets_archive_entries_read_total{stream=\"other\"} 924\n") != std::string::npos);
  // Names that are cut to the same label are one series.
  view.figures.streams = {{.name = std::string(200, 'a') + "1", .read = 1, .pending = {}, .stopped = {}},
                          {.name = std::string(200, 'a') + "2", .read = 1, .pending = {}, .stopped = {}}};
  const std::string cut = TextOfFigures(view);
  CHECK(cut.find("sprockets_archive_entries_read_total{stream=\"other\"} 1\n") != std::string::npos);
}

}  // namespace
}  // namespace sprockets
