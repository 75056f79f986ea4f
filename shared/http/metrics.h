// Figures in Prometheus's text format. The only use of prometheus-cpp. One thread.
//
// Values of labels may come from outside: quotes, backslashes and line breaks are escaped, and what is not UTF-8, which
// would make the whole page unreadable, is written as \xHH.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/latency_histogram.h"

namespace sprockets {

class Metrics {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  Metrics();
  ~Metrics();

  /// A figure that only grows; its name ends in _total. The same name with other labels adds to the same family, which
  /// keeps the help of the first. The same labels twice are a bug.
  void Counter(std::string_view name, std::string_view help, double value, const Labels& labels = {});
  void Gauge(std::string_view name, std::string_view help, double value, const Labels& labels = {});
  /// In seconds; its name ends in _seconds.
  void Histogram(std::string_view name, std::string_view help, const LatencyHistogram& values,
                 const Labels& labels = {});

  /// What a scraper gets, of type kContentType.
  std::string Text() const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Families;
  const std::unique_ptr<Families> families_;
};

/// A text from outside as the value of a label: as it is where it is UTF-8, else with \xHH. At most `max_bytes` are
/// taken, then "…".
std::string LabelText(std::string_view bytes, size_t max_bytes = 256);

}  // namespace sprockets
