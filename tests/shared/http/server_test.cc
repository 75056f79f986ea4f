#include "shared/http/server.h"

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

std::string Ask(int port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got = 0; (got = recv(fd, buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<size_t>(got));
  close(fd);
  return answer;
}

TEST_CASE("the handler sees the path without its query, and nothing but GET and HEAD") {
  std::atomic<int> calls{0};
  const auto server = HttpServer::Start({"127.0.0.1", 0}, [&](const HttpRequest& request) {
    ++calls;
    return HttpResponse{.body = std::string(request.path) + "|" + std::string(request.query)};
  });
  REQUIRE(server.ok());
  const int port = server.value()->port();
  CHECK(Ask(port, "GET /a%20b?c=d HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n/a b|c=d"));
  CHECK(Ask(port, "HEAD /x HTTP/1.1\r\n\r\n").ends_with("Content-Length: 3\r\nConnection: close\r\n\r\n"));
  CHECK(calls == 2);
  CHECK(Ask(port, "POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\nx").starts_with("HTTP/1.1 405 "));
  CHECK(Ask(port, "DELETE /x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(calls == 2);
  const std::string nonsense = Ask(port, "\x16\x03\x01 nonsense\r\n\r\n");
  CHECK(nonsense.find("nonsense") == std::string::npos);
  CHECK(calls == 2);
}

TEST_CASE("a stream goes on until it ends, and the end of the server ends it") {
  std::atomic<bool> runs{false};
  auto server = HttpServer::Start({"127.0.0.1", 0}, [&](const HttpRequest& request) {
    HttpResponse response;
    response.stream = [&runs, goes_on = request.path == "/long"](HttpStream& to) {
      to.Write("one ");
      to.Write("two");
      runs = goes_on;
      while (goes_on && !to.stopping()) usleep(10'000);
      runs = false;
    };
    return response;
  });
  REQUIRE(server.ok());
  CHECK(Ask(server.value()->port(), "GET /short HTTP/1.1\r\n\r\n").ends_with("\r\n\r\none two"));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(server.value()->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(send(fd, "GET /long HTTP/1.1\r\n\r\n", 22, MSG_NOSIGNAL) == 22);
  for (int i = 0; i < 1'000 && !runs; ++i) usleep(10'000);
  REQUIRE(runs);
  const auto begun = std::chrono::steady_clock::now();
  std::move(server).value().reset();
  CHECK_FALSE(runs);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
  close(fd);
}

TEST_CASE("an address that is taken is an error that says which") {
  const auto respond = [](const HttpRequest&) { return HttpResponse(); };
  const auto first = HttpServer::Start({"127.0.0.1", 0}, respond);
  REQUIRE(first.ok());
  const auto second = HttpServer::Start({"127.0.0.1", first.value()->port()}, respond);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().message.find("127.0.0.1:" + std::to_string(first.value()->port())) != std::string::npos);
}

}  // namespace
}  // namespace sprockets
