// What follows from a service's report: alive, ready, and the texts.
#include "replayer/admin/service_report.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

StoreFigures WellStore(const std::string& name) {
  return {.name = name, .is_asked = true, .answers = true, .why = {}, .changed = {1}, .asked_ms = 100'000};
}

ServiceReport WellReport() {
  ServiceReport report;
  report.service = "archive";
  report.steady_ms = 100'000;
  report.stores = {WellStore("redis"), WellStore("postgres")};
  return report;
}

std::vector<std::string> CodesAt(const ServiceReport& report, int64_t steady_ms) {
  std::vector<std::string> codes;
  for (const ServiceReason& reason : JudgeService(report, steady_ms).reasons) codes.push_back(reason.code);
  return codes;
}

TEST_CASE("a service is ready while both stores answer and nothing else is wrong, and alive while it moves") {
  ServiceReport report = WellReport();
  CHECK(JudgeService(report, 101'000).ready);
  CHECK(JudgeService(report, 101'000).alive);
  CHECK(CodesAt(report, 110'000) == std::vector<std::string>{"stuck", "redis-silent", "postgres-silent"});
  CHECK_FALSE(JudgeService(report, 110'000).alive);
  report.stores[0].answers = false;
  report.stores[1].answers = false;
  report.stores[1].refuses = true;
  report.reasons = {{"stream-stopped", "it was", "s\"\xff"}};
  CHECK(CodesAt(report, 101'000) == std::vector<std::string>{"redis-away", "postgres-refuses", "stream-stopped"});
  CHECK(JudgeService(report, 101'000).alive);
  const auto json = nlohmann::json::parse(VerdictText(JudgeService(report, 101'000)));
  CHECK(json.at("ready") == false);
  CHECK(json.at("reasons")[2].at("stream") == "s\"\xef\xbf\xbd");
  CHECK_FALSE(json.at("reasons")[0].contains("stream"));
}

TEST_CASE("a store that has never been asked is not taken for one that answers") {
  ServiceReport report = WellReport();
  report.stores[0].is_asked = false;
  CHECK(CodesAt(report, 100'000) == std::vector<std::string>{"redis-silent"});
}

TEST_CASE("figures say what the verdict says") {
  const ServiceReport report = WellReport();
  const std::string well = FiguresText(report, 101'000);
  CHECK(well.find("\nsprockets_ready 1\n") != std::string::npos);
  CHECK(well.find("\nsprockets_redis_connected 1\n") != std::string::npos);
  CHECK(well.find("service=\"archive\"") != std::string::npos);
  const std::string later = FiguresText(report, 120'000);
  CHECK(later.find("\nsprockets_ready 0\n") != std::string::npos);
  CHECK(later.find("\nsprockets_postgres_connected 0\n") != std::string::npos);
  CHECK(later.find("\nsprockets_snapshot_age_seconds 20\n") != std::string::npos);
}

}  // namespace
}  // namespace sprockets
