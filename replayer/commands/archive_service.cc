#include "replayer/commands/archive_service.h"

#include <utility>

#include "replayer/archive/archive_report.h"
#include "shared/base/clock.h"

namespace sprockets {
namespace {

constexpr int64_t kStallGraceMs = 5'000;  // beyond the time after which the entries of a dead consumer are claimed

}  // namespace

ArchiveService::ArchiveService(const ArchiveOptions& options, const ArchiveRun* run)
    : run_(run),
      stalled_after_ms_(options.claim_idle_ms + kStallGraceMs),
      started_{WallClockMs()},
      lag_(options.redis, options.streams, options.group),
      postgres_probe_(options.postgres.url),
      redis_watch_("redis", [this](const std::stop_token&) { return lag_.Look(); }),
      postgres_watch_("postgres", [this](const std::stop_token& stop) { return postgres_probe_.Ask(stop); }) {}

Result<std::unique_ptr<ArchiveService>> ArchiveService::Start(const ListenAddress& address,
                                                              const ArchiveOptions& options,
                                                              const std::filesystem::path& set, const ArchiveRun* run) {
  std::vector<Leaderboard> boards;
  if (!set.empty()) {
    ASSIGN_OR_RETURN(boards, ReadLeaderboards(set));
  }
  std::unique_ptr<ArchiveService> service(new ArchiveService(options, run));
  ArchiveService* const raw = service.get();
  ServiceHttp::MorePaths more;
  if (!boards.empty()) {
    raw->boards_.emplace(std::move(boards), options.redis, options.postgres, [raw] { return raw->Stores(); });
    more = [raw](const HttpRequest& request) { return raw->boards_->Answer(request); };
  }
  Result<std::unique_ptr<ServiceHttp>> http = ServiceHttp::Start(
      address, [raw] { return raw->Report(); }, std::move(more));
  if (!http.ok()) return std::move(http).error().Prefixed("--admin");
  service->http_ = std::move(http).value();
  return service;
}

ServiceReport ArchiveService::Report() const {
  const auto view = std::make_shared<const ArchiveView>(
      ArchiveView{run_->Figures(), lag_.Lags(), WallClockMs(), SteadyClockMs(), stalled_after_ms_});
  return {.service = "archive",
          .started = started_,
          .steady_ms = view->steady_ms,
          .stores = Stores(),
          .reasons = ReasonsOf(*view),
          .add_figures = [view](Metrics* to) { AddFigures(*view, to); },
          .details = DetailsOf(*view)};
}

}  // namespace sprockets
