// The admin HTTP of the sidecar: health, readiness, metrics, and a page for people. It tells and changes nothing. Its
// answers are made from the publication that is there, on the server's threads: they never touch what the loop owns.
// Any thread.
#pragma once

#include <memory>

#include "shared/base/result.h"
#include "shared/http/listen_address.h"
#include "shared/http/published.h"
#include "shared/http/server.h"
#include "sidecar/admin/snapshot.h"

namespace sprockets {

class AdminHttp {
 public:
  /// kUnreachable: the address cannot be listened on. The publisher must outlive it.
  static Result<std::unique_ptr<AdminHttp>> Start(const ListenAddress& address,
                                                  const Published<Publication>* publisher);

  int port() const { return server_->port(); }

 private:
  explicit AdminHttp(const Published<Publication>* publisher) : publisher_(publisher) {}

  HttpResponse Answer(const HttpRequest& request) const;
  HttpResponse Events() const;

  const Published<Publication>* const publisher_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace sprockets
