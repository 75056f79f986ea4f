// A small HTTP server that only tells: GET and HEAD, nothing else, so nobody can change anything by it. For health,
// metrics and pages of a program whose work is something else; the only use of civetweb.
//
// It has threads of its own, which call the handler, several at a time. What a peer may take of it is bounded: its
// request has at most 16 KiB, whoever sends or takes nothing for a second is disconnected, and at most so many are
// served at once; others wait in the system's queue, and beyond that are refused by the system.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "shared/http/listen_address.h"

namespace sprockets {

struct HttpRequest {
  std::string_view path;           // "/metrics", decoded; as it was sent where it cannot be
  std::string_view raw_path;       // as it was sent: "/a%2Fb" has one slash that divides
  std::string_view query;          // what stands behind the question mark, as it was sent
  std::string_view if_none_match;  // the header of that name; empty: there is none
};

/// A response that goes on for a while. On one of the server's threads.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  /// False: the peer has gone, reads too slowly, or the server stops: nothing more is to be written.
  virtual bool Write(std::string_view bytes) = 0;
  virtual bool stopping() const = 0;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string cache_control = "no-store";
  /// Takes the body's place: called once the headers are sent, not for HEAD. It asks `stopping` at least once a second,
  /// and ends by itself within an hour. At most kMostStreams run; others are answered 503.
  std::function<void(HttpStream&)> stream = nullptr;
};

class HttpServer {
 public:
  static constexpr int kMostStreams = 4;

  /// So many requests are served at once.
  static constexpr int kThreads = 32;

  /// Any of the server's threads calls it. What waits for something else bounds how many of them do, so that monitors
  /// always find one.
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  /// kUnreachable: the address cannot be listened on.
  static Result<std::unique_ptr<HttpServer>> Start(const ListenAddress& address, Handler handler);
  /// Ends every response and joins the threads, within a few seconds.
  virtual ~HttpServer() = default;

  /// That it listens on.
  virtual int port() const = 0;
};

}  // namespace sprockets
