// Health, readiness and figures of a service by HTTP. It tells and changes nothing. The answers are made from the
// report that is there, on the server's threads: a reader never delays the work.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "replayer/admin/repeating.h"
#include "replayer/admin/service_report.h"
#include "shared/base/result.h"
#include "shared/http/listen_address.h"
#include "shared/http/published.h"
#include "shared/http/server.h"

namespace sprockets {

class ServiceHttp {
 public:
  /// About once a second, on a thread of its own.
  using MakeReport = std::function<ServiceReport()>;
  /// Other paths, on the server's threads; none: there is no such path. May be none itself.
  using MorePaths = std::function<std::optional<HttpResponse>(const HttpRequest&)>;

  /// kUnreachable: the address cannot be listened on.
  static Result<std::unique_ptr<ServiceHttp>> Start(const ListenAddress& address, MakeReport make_report,
                                                    MorePaths more = nullptr);

  int port() const { return server_->port(); }

 private:
  explicit ServiceHttp(MorePaths more) : more_(std::move(more)) {}
  HttpResponse Answer(const HttpRequest& request) const;

  const MorePaths more_;
  Published<ServiceReport> reports_;
  std::optional<Repeating> reporting_;
  std::unique_ptr<HttpServer> server_;  // ends first
};

}  // namespace sprockets
