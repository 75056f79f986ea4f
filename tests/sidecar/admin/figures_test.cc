// /metrics and the page's JSON, from a snapshot.
#include "sidecar/admin/figures.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sidecar/admin/page_json.h"
#include "tests/sidecar/admin/snapshots.h"

namespace sprockets {
namespace {

bool HasLine(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("streams whose labels would be equal are told together, so no series stands there twice") {
  Snapshot now = WellSnapshot();
  now.probes.streams = {{"a\xff", {5, 4, 1}}, {"a\\xff", {2, 1, 1}}, {"other", {10, 10, 0}}, {"b", {1, 1, 0}}};
  now.probes.other_streams = {100, 90, 10};
  const std::string text = MetricsText(now, now.steady_ms);
  CHECK(HasLine(text, R"(sprockets_events_accepted_total{stream="a\\xff"} 5)"));
  CHECK(HasLine(text, R"(sprockets_events_accepted_total{stream="b"} 1)"));
  CHECK(HasLine(text, R"(sprockets_events_accepted_total{stream="other"} 112)"));
}

TEST_CASE("figures age with the loop") {
  const Snapshot now = WellSnapshot();
  CHECK(HasLine(MetricsText(now, now.steady_ms), "sprockets_ready 1"));
  const std::string later = MetricsText(now, now.steady_ms + 20'000);
  CHECK(HasLine(later, "sprockets_ready 0"));
  CHECK(HasLine(later, "sprockets_snapshot_age_seconds 20"));
  CHECK(HasLine(later, "sprockets_redis_answer_age_seconds 20.1"));
}

TEST_CASE("1024 streams with the longest names stay under 1 MB a scrape") {
  Snapshot now = WellSnapshot();
  for (size_t i = 0; i < kNamedStreams; ++i) {
    now.probes.streams.push_back({std::string(1000, '"') + std::to_string(i), {i, i, i}});
    now.probes.refused.push_back({std::string(1000, '\xff') + std::to_string(i), std::string(100'000, 'w')});
  }
  CHECK(MetricsText(now, now.steady_ms).size() < 1'000'000);
}

TEST_CASE("the page's JSON survives names that are no UTF-8, and sends only the history that is asked for") {
  Publication publication{WellSnapshot(), {{1'000, 1, 1, 0, 0, 0}, {2'000, 2, 2, 0, 0, 0}}, {{{5}, "bytes \xff"}}};
  publication.snapshot.probes.streams = {{"a\xff", {5, 4, 1}}};
  publication.snapshot.delivery.redis.last_error = "\xff\xfe";
  const Verdict verdict = Judge(publication.snapshot, 50'000);
  const auto json = nlohmann::json::parse(PageJson(publication, verdict, 50'000, 1'000));
  CHECK(json.at("history").size() == 1);
  CHECK(json.at("history")[0][0] == 2'000);
  CHECK(json.at("streams")[0].at("stream") == "a\\xff");
  CHECK(nlohmann::json::parse(PageJson(publication, verdict, 50'000, 0)).at("history").size() == 2);
}

}  // namespace
}  // namespace sprockets
