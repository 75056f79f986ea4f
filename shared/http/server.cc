#include "shared/http/server.h"

#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <civetweb.h>
#include <csignal>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/http/query.h"

namespace sprockets {

namespace {

// A stream keeps one thread for itself, so the short requests of monitors always have the others.
static_assert(HttpServer::kMostStreams < HttpServer::kThreads);
// Of a peer that sends nothing or takes nothing. It also bounds how long the program's end waits for one.
constexpr const char* kPatienceMs = "1000";
constexpr const char* kMostRequestBytes = "16384";

std::string_view ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
  }
  return "Error";
}

class CivetServer final : public HttpServer {
 public:
  explicit CivetServer(Handler handler) : handler_(std::move(handler)) {}

  ~CivetServer() override {
    stopping_ = true;
    if (context_ != nullptr) Stop();
    mg_exit_library();
  }

  Status Listen(const ListenAddress& address) {
    mg_init_library(0);
    address_ = address;
    const std::string listening = address.Text();
    const std::string threads = std::to_string(kThreads);
    // Nothing is served from files, nothing is kept open, nothing is promised to other origins.
    const char* options[] = {"listening_ports",
                             listening.c_str(),
                             "num_threads",
                             threads.c_str(),
                             "request_timeout_ms",
                             kPatienceMs,
                             "max_request_size",
                             kMostRequestBytes,
                             "decode_url",  // it would cut the path at a NUL
                             "no",
                             "enable_keep_alive",
                             "no",
                             "enable_directory_listing",
                             "no",
                             "access_control_allow_methods",
                             "",
                             "access_control_allow_origin",
                             "",
                             "access_control_allow_headers",
                             "",
                             "tcp_nodelay",
                             "1",
                             nullptr};
    mg_callbacks callbacks = {};
    callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
    callbacks.http_error = &OnHttpError;
    std::array<char, 256> why = {};
    mg_init_data init = {};
    init.callbacks = &callbacks;
    init.user_data = this;
    init.configuration_options = options;
    mg_error_data error = {};
    error.text = why.data();
    error.text_buffer_size = why.size();
    // Signals are the program's own threads' to hear.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    context_ = mg_start2(&init, &error);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (context_ == nullptr)
      return Error{ErrorCode::kUnreachable,
                   "cannot listen on " + listening + ": is another program there? (" + Escape(why.data()) + ")"};
    mg_server_port port = {};
    if (mg_get_server_ports(context_, 1, &port) == 1) port_ = port.port;
    mg_set_request_handler(context_, "/", &OnRequest, this);
    return {};
  }

  int port() const override { return port_; }

 private:
  class Stream final : public HttpStream {
   public:
    Stream(mg_connection* connection, const std::atomic<bool>* stopping)
        : connection_(connection), stopping_(stopping) {}
    bool Write(std::string_view bytes) override { return !*stopping_ && WriteAll(connection_, bytes); }
    bool stopping() const override { return *stopping_; }

   private:
    mg_connection* const connection_;
    const std::atomic<bool>* const stopping_;
  };

  static bool WriteAll(mg_connection* connection, std::string_view bytes) {
    return mg_write(connection, bytes.data(), bytes.size()) == static_cast<int>(bytes.size());
  }

  static int OnRequest(mg_connection* connection, void* self) {
    return static_cast<CivetServer*>(self)->Serve(connection);
  }

  // Civetweb's own pages would repeat the request.
  static int OnHttpError(mg_connection* connection, int status, const char*) {
    Send(connection, {.status = status, .body = "the request cannot be served\n"}, /*has_body=*/true);
    return 0;
  }

  int Serve(mg_connection* connection) {
    const mg_request_info* info = mg_get_request_info(connection);
    const std::string_view method = info->request_method != nullptr ? info->request_method : "";
    if (method != "GET" && method != "HEAD") {
      return Send(connection,
                  {.status = 405,
                   .body = "only GET and HEAD: nothing can be changed here\n",
                   .headers = {{"Allow", "GET, HEAD"}}},
                  /*has_body=*/true);
    }
    const bool has_body = method == "GET";
    HttpRequest request;
    if (info->local_uri_raw != nullptr) request.raw_path = info->local_uri_raw;
    const std::string decoded = PercentDecode(request.raw_path).value_or(std::string(request.raw_path));
    request.path = decoded;
    if (info->query_string != nullptr) request.query = info->query_string;
    if (const char* known = mg_get_header(connection, "If-None-Match")) request.if_none_match = known;
    HttpResponse response = Handle(request);
    if (!response.stream || !has_body) return Send(connection, response, has_body);
    if (++streams_ > kMostStreams) {
      response = {.status = 503, .body = "too many streams are open\n", .headers = {{"Retry-After", "5"}}};
      Send(connection, response, has_body);
    } else if (Send(connection, response, has_body) == response.status) {
      Stream stream(connection, &stopping_);
      response.stream(stream);
    }
    --streams_;
    return 200;
  }

  // On a thread of its own: civetweb, as Debian builds it, gives its threads stacks of 100 KiB, and a handler may ask
  // servers through libraries that take what they need.
  HttpResponse Handle(const HttpRequest& request) const {
    HttpResponse response;
    try {
      std::thread([&] { response = handler_(request); }).join();
    } catch (const std::system_error&) {
      response = {.status = 503, .body = "there is no thread left\n", .headers = {{"Retry-After", "5"}}};
    }
    return response;
  }

  // The status, as civetweb wants it of a handler.
  static int Send(mg_connection* connection, const HttpResponse& response, bool has_body) {
    std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
    head.append(ReasonOf(response.status)).append("\r\nContent-Type: ").append(response.content_type);
    head.append("\r\nCache-Control: ").append(response.cache_control);
    head.append("\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer");
    // Of a 304 it would be the length of what is not sent.
    const bool has_length = !response.stream && response.status != 304;
    if (has_length) head.append("\r\nContent-Length: ").append(std::to_string(response.body.size()));
    for (const auto& [name, value] : response.headers) head.append("\r\n").append(name).append(": ").append(value);
    head.append("\r\nConnection: close\r\n\r\n");
    if (has_body) head.append(response.body);
    WriteAll(connection, head);
    return response.status;
  }

  // The thread that accepts looks up once in two seconds, or when somebody comes: so somebody does.
  void Stop() {
    std::atomic<bool> stopped{false};
    std::thread stopper([&] {
      mg_stop(context_);
      stopped = true;
    });
    while (!stopped) {
      Knock();
      SleepMs(10);
    }
    stopper.join();
  }

  void Knock() const {
    const bool is_v6 = address_.host.find(':') != std::string::npos;
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<uint16_t>(port_));
    sockaddr_in6 v6 = {};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = v4.sin_port;
    inet_pton(is_v6 ? AF_INET6 : AF_INET, address_.host.c_str(),
              is_v6 ? static_cast<void*>(&v6.sin6_addr) : static_cast<void*>(&v4.sin_addr));
    const int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    const auto* to = is_v6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
    // Whatever comes of it: there is another knock.
    (void)connect(fd, to, is_v6 ? sizeof v6 : sizeof v4);
    close(fd);
  }

  const Handler handler_;
  ListenAddress address_;
  mg_context* context_ = nullptr;
  std::atomic<bool> stopping_{false};
  std::atomic<int> streams_{0};
  int port_ = 0;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const ListenAddress& address, Handler handler) {
  auto server = std::make_unique<CivetServer>(std::move(handler));
  RETURN_IF_ERROR(server->Listen(address));
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace sprockets
