#include "replayer/admin/service_report.h"

#include <algorithm>
#include <utility>

#include "shared/base/text.h"

namespace sprockets {
namespace {

using ReportJson = nlohmann::ordered_json;

std::string NameForPeople(const std::string& store) {
  return store == "redis" ? "Redis" : store == "postgres" ? "PostgreSQL" : store;
}

std::string TextOfWhy(const std::string& why) {
  return why.empty() ? "." : ": " + Escape(why, 1'000) + ".";
}

void LookAtStore(const StoreFigures& store, int64_t steady_ms, std::vector<ServiceReason>* reasons) {
  const std::string name = NameForPeople(store.name);
  if (!store.is_asked || steady_ms - store.asked_ms >= kServicePatienceMs) {
    reasons->push_back({store.name + "-silent", name + " has not answered lately."});
  } else if (!store.answers && store.refuses) {
    reasons->push_back({store.name + "-refuses", name + " is there and refuses" + TextOfWhy(store.why)});
  } else if (!store.answers) {
    reasons->push_back({store.name + "-away", name + " is away" + TextOfWhy(store.why)});
  }
}

ReportJson JsonOfVerdict(const ServiceVerdict& verdict) {
  ReportJson reasons = ReportJson::array();
  for (const ServiceReason& reason : verdict.reasons) {
    ReportJson json{{"code", reason.code}, {"text", reason.text}};
    if (!reason.stream.empty()) json["stream"] = reason.stream;
    reasons.push_back(std::move(json));
  }
  return {{"alive", verdict.alive},
          {"ready", verdict.ready},
          {"headline", verdict.headline},
          {"reasons", std::move(reasons)}};
}

std::string LineOfJson(const ReportJson& json) {
  return json.dump(-1, ' ', false, ReportJson::error_handler_t::replace) + "\n";
}

double SecondsOf(int64_t ms) {
  return static_cast<double>(ms) / 1000;
}

}  // namespace

ServiceVerdict JudgeService(const ServiceReport& report, int64_t steady_ms) {
  ServiceVerdict verdict;
  const int64_t age_ms = std::max<int64_t>(0, steady_ms - report.steady_ms);
  verdict.alive = age_ms < kServicePatienceMs;
  if (!verdict.alive) verdict.reasons.push_back({"stuck", "Nothing has moved for " + FormatDuration(age_ms) + "."});
  for (const StoreFigures& store : report.stores) LookAtStore(store, steady_ms, &verdict.reasons);
  verdict.reasons.insert(verdict.reasons.end(), report.reasons.begin(), report.reasons.end());
  verdict.ready = verdict.reasons.empty();
  verdict.headline = verdict.ready ? "All is well." : verdict.reasons.front().text;
  return verdict;
}

std::string VerdictText(const ServiceVerdict& verdict) {
  return LineOfJson(JsonOfVerdict(verdict));
}

std::string StatusText(const ServiceReport& report, int64_t steady_ms) {
  ReportJson json = JsonOfVerdict(JudgeService(report, steady_ms));
  json["service"] = report.service;
  json["version"] = SPROCKETS_VERSION;
  json["started_ms"] = report.started.ms;
  json["age_ms"] = std::max<int64_t>(0, steady_ms - report.steady_ms);
  for (const StoreFigures& store : report.stores)
    json[store.name] = {{"answers", store.answers}, {"why", store.why}, {"changed_ms", store.changed.ms}};
  json.update(report.details);
  return LineOfJson(json);
}

std::string FiguresText(const ServiceReport& report, int64_t steady_ms) {
  Metrics metrics;
  metrics.Gauge("sprockets_build_info", "1, with the version and the service as labels.", 1,
                {{"version", SPROCKETS_VERSION}, {"service", report.service}});
  metrics.Gauge("sprockets_start_timestamp_seconds", "When the service started.", SecondsOf(report.started.ms));
  metrics.Gauge("sprockets_snapshot_age_seconds", "Since the figures of this page were taken.",
                SecondsOf(std::max<int64_t>(0, steady_ms - report.steady_ms)));
  metrics.Gauge("sprockets_ready", "What /ready says.", JudgeService(report, steady_ms).ready);
  for (const StoreFigures& store : report.stores) {
    const std::string prefix = "sprockets_" + store.name;
    const std::string name = NameForPeople(store.name);
    const bool is_heard = store.answers && steady_ms - store.asked_ms < kServicePatienceMs;
    metrics.Gauge(prefix + "_connected", "Whether " + name + " answers.", is_heard);
    metrics.Gauge(prefix + "_connection_changed_timestamp_seconds", "When " + name + " was last lost or found.",
                  SecondsOf(store.changed.ms));
  }
  if (report.add_figures) report.add_figures(&metrics);
  return metrics.Text();
}

}  // namespace sprockets
