#include "replayer/admin/service_http.h"

#include <string>
#include <utility>

#include "shared/base/clock.h"

namespace sprockets {
namespace {

HttpResponse JsonAnswer(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

}  // namespace

Result<std::unique_ptr<ServiceHttp>> ServiceHttp::Start(const ListenAddress& address, MakeReport make_report,
                                                        MorePaths more) {
  std::unique_ptr<ServiceHttp> service(new ServiceHttp(std::move(more)));
  ASSIGN_OR_RETURN(service->server_, HttpServer::Start(address, [raw = service.get()](const HttpRequest& request) {
                     return raw->Answer(request);
                   }));
  service->reporting_.emplace([raw = service.get(), make = std::move(make_report)](const std::stop_token&) {
    raw->reports_.Publish(std::make_shared<const ServiceReport>(make()));
  });
  return service;
}

HttpResponse ServiceHttp::Answer(const HttpRequest& request) const {
  if (more_) {
    if (std::optional<HttpResponse> answer = more_(request)) return *std::move(answer);
  }
  const auto report = reports_.Latest();
  if (report == nullptr)
    return JsonAnswer(503, "{\"alive\":true,\"ready\":false,\"headline\":\"The service is starting.\"}\n");
  const int64_t now_ms = SteadyClockMs();
  if (request.path == "/metrics") return {.content_type = Metrics::kContentType, .body = FiguresText(*report, now_ms)};
  if (request.path == "/status.json") return JsonAnswer(200, StatusText(*report, now_ms));
  const ServiceVerdict verdict = JudgeService(*report, now_ms);
  if (request.path == "/health") return JsonAnswer(verdict.alive ? 200 : 503, VerdictText(verdict));
  if (request.path == "/ready") return JsonAnswer(verdict.ready ? 200 : 503, VerdictText(verdict));
  return {.status = 404, .body = "there are /health, /ready, /metrics and /status.json\n"};
}

}  // namespace sprockets
