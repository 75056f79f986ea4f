#include "sidecar/admin/admin_http.h"

#include <string>
#include <utility>

#include "shared/base/clock.h"
#include "shared/http/metrics.h"
#include "shared/http/nonce.h"
#include "sidecar/admin/figures.h"
#include "sidecar/admin/page.h"
#include "sidecar/admin/page_json.h"
#include "sidecar/admin/verdict.h"

namespace sprockets {

namespace {

constexpr const char* kJson = "application/json";
constexpr int64_t kStreamWaitMs = 500;  // then it looks whether the server stops
constexpr int64_t kStreamSilenceMs = 3'000;
constexpr int64_t kStreamLifeMs = 30 * 60'000;  // then the page opens another one
constexpr std::string_view kNonceMark = "@NONCE@";

HttpResponse JsonResponse(int status, std::string body) {
  return {.status = status, .content_type = kJson, .body = std::move(body)};
}

// Its script and its style are its own; it loads nothing, and nobody may frame it.
HttpResponse Page() {
  const std::string nonce = MakeNonce();
  std::string page(kStatusPage);
  for (size_t at = 0; (at = page.find(kNonceMark, at)) != std::string::npos;)
    page.replace(at, kNonceMark.size(), nonce);
  return {.content_type = "text/html; charset=utf-8",
          .body = std::move(page),
          .headers = {{"Content-Security-Policy",
                       "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce +
                           "'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}}};
}

bool SpillingIsEnough(std::string_view query) {
  return query == "spilling=ok";
}

}  // namespace

Result<std::unique_ptr<AdminHttp>> AdminHttp::Start(const ListenAddress& address,
                                                    const Published<Publication>* publisher) {
  std::unique_ptr<AdminHttp> http(new AdminHttp(publisher));
  ASSIGN_OR_RETURN(http->server_, HttpServer::Start(address, [raw = http.get()](const HttpRequest& request) {
                     return raw->Answer(request);
                   }));
  return http;
}

HttpResponse AdminHttp::Answer(const HttpRequest& request) const {
  if (request.path == "/") return Page();
  const auto publication = publisher_->Latest();
  if (publication == nullptr)
    return JsonResponse(503, "{\"alive\":true,\"ready\":false,\"headline\":\"The sidecar is starting.\"}\n");
  const int64_t now_ms = SteadyClockMs();
  if (request.path == "/metrics")
    return {.content_type = Metrics::kContentType, .body = MetricsText(publication->snapshot, now_ms)};
  if (request.path == "/events") return Events();
  const Verdict verdict = Judge(publication->snapshot, now_ms);
  if (request.path == "/health") return JsonResponse(verdict.alive ? 200 : 503, VerdictJson(verdict));
  if (request.path == "/ready") {
    const bool ready = SpillingIsEnough(request.query) ? verdict.takes_events : verdict.ready;
    return JsonResponse(ready ? 200 : 503, VerdictJson(verdict));
  }
  if (request.path == "/status.json") return JsonResponse(200, PageJson(*publication, verdict, now_ms, 0) + "\n");
  return {.status = 404, .body = "there are /, /health, /ready, /metrics, /status.json and /events\n"};
}

HttpResponse AdminHttp::Events() const {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.stream = [publisher = publisher_](HttpStream& to) {
    const int64_t ends_ms = SteadyClockMs() + kStreamLifeMs;
    std::shared_ptr<const Publication> told;
    int64_t told_ms = 0;
    int64_t history_told_ms = 0;
    while (!to.stopping() && SteadyClockMs() < ends_ms) {
      const auto latest = publisher->WaitForOther(told.get(), kStreamWaitMs);
      const int64_t now_ms = SteadyClockMs();
      // Where the loop does not move, the page is told so.
      if (latest == nullptr || (latest == told && now_ms - told_ms < kStreamSilenceMs)) continue;
      told = latest;
      told_ms = now_ms;
      const Verdict verdict = Judge(told->snapshot, now_ms);
      if (!to.Write("data: " + PageJson(*told, verdict, now_ms, history_told_ms) + "\n\n")) return;
      if (!told->history.empty()) history_told_ms = told->history.back().when_ms;
    }
  };
  return response;
}

}  // namespace sprockets
