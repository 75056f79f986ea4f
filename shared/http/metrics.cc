#include "shared/http/metrics.h"

#include <algorithm>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "shared/base/result.h"
#include "shared/base/text.h"

namespace sprockets {

struct Metrics::Families {
  std::vector<prometheus::MetricFamily> all;

  prometheus::ClientMetric& Add(std::string_view name, std::string_view help, prometheus::MetricType type,
                                const Labels& labels) {
    auto family = std::find_if(all.begin(), all.end(), [&](const auto& known) { return known.name == name; });
    if (family == all.end()) family = all.insert(all.end(), {std::string(name), std::string(help), type, {}});
    SPROCKETS_ASSERT(family->type == type);
    prometheus::ClientMetric& metric = family->metric.emplace_back();
    for (const auto& [label, value] : labels) metric.label.push_back({std::string(label), value});
    return metric;
  }
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::Counter(std::string_view name, std::string_view help, double value, const Labels& labels) {
  families_->Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void Metrics::Gauge(std::string_view name, std::string_view help, double value, const Labels& labels) {
  families_->Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void Metrics::Histogram(std::string_view name, std::string_view help, const LatencyHistogram& values,
                        const Labels& labels) {
  auto& histogram = families_->Add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  histogram.sample_sum = static_cast<double>(values.sum_us()) / 1e6;
  histogram.sample_count = values.count();
  uint64_t cumulative = 0;
  for (size_t i = 0; i < LatencyHistogram::kBoundsUs.size(); ++i) {
    cumulative += values.counts()[i];
    histogram.bucket.push_back({cumulative, static_cast<double>(LatencyHistogram::kBoundsUs[i]) / 1e6});
  }
}

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(families_->all);
}

std::string LabelText(std::string_view bytes, size_t max_bytes) {
  if (!IsUtf8(bytes)) return Escape(bytes, max_bytes);
  if (bytes.size() <= max_bytes) return std::string(bytes);
  size_t cut = max_bytes;
  while (cut > 0 && (static_cast<unsigned char>(bytes[cut]) & 0xC0) == 0x80) --cut;  // not within a character
  return std::string(bytes.substr(0, cut)) + "…";
}

}  // namespace sprockets
