#include "shared/http/metrics.h"

#include <catch2/catch.hpp>

#include "shared/base/text.h"

namespace sprockets {
namespace {

bool Has(const std::string& text, const std::string& line) {
  return text.find(line + "\n") != std::string::npos;
}

TEST_CASE("labels from outside are escaped, and what is not UTF-8 cannot spoil the page") {
  Metrics metrics;
  metrics.Counter("a_total", "Help.", 1, {{"stream", LabelText("q\"\n\\")}});
  metrics.Counter("a_total", "Help.", 2, {{"stream", LabelText("z\xff\xfe")}});
  metrics.Counter("a_total", "Help.", 3, {{"stream", LabelText("größe")}});
  const std::string text = metrics.Text();
  CHECK(IsUtf8(text));
  CHECK(Has(text, R"(a_total{stream="q\"\n\\"} 1)"));
  CHECK(Has(text, R"(a_total{stream="z\\xff\\xfe"} 2)"));
  CHECK(Has(text, R"(a_total{stream="größe"} 3)"));
  CHECK(text.find("# TYPE a_total counter\n") == text.rfind("# TYPE a_total counter\n"));
}

TEST_CASE("a long label is cut between characters") {
  CHECK(LabelText("aöö", 4) == "aö…");
  CHECK(LabelText("aöö", 5) == "aöö");
  CHECK(LabelText(std::string(300, 'x')).size() == 256 + std::string("…").size());
}

TEST_CASE("a histogram counts what is at most as long as each bound, and gives its sum in seconds") {
  LatencyHistogram values;
  values.Record(100);
  values.Record(101, 2);
  values.Record(60'000'000);
  values.Record(-5);
  Metrics metrics;
  metrics.Histogram("took_seconds", "Help.", values);
  const std::string text = metrics.Text();
  CHECK(Has(text, "took_seconds_bucket{le=\"0.0001\"} 2"));
  CHECK(Has(text, "took_seconds_bucket{le=\"0.00025\"} 4"));
  CHECK(Has(text, "took_seconds_bucket{le=\"10\"} 4"));
  CHECK(Has(text, "took_seconds_bucket{le=\"+Inf\"} 5"));
  CHECK(Has(text, "took_seconds_count 5"));
  CHECK(Has(text, "took_seconds_sum 60.000302"));
}

}  // namespace
}  // namespace sprockets
