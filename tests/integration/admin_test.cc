// The admin HTTP of the sidecar over real connections: every path, bad requests, Redis in each state, and peers that
// take a server's threads and give nothing back.
#include <chrono>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/harness/http_client.h"
#include "tests/harness/stack.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

struct Administered {
  ReservedPort port;
  Stack stack;

  explicit Administered(Stack::Options options = {}) : stack(WithAdmin(std::move(options), port.number())) {}

  static Stack::Options WithAdmin(Stack::Options options, int port) {
    options.sidecar_options.insert(options.sidecar_options.end(), {"--admin", std::to_string(port)});
    return options;
  }
  HttpAnswer Get(const std::string& target) const { return Http(port.number(), "GET " + target); }
  nlohmann::json Json(const std::string& target) const { return nlohmann::json::parse(Get(target).body); }
  /// The figure of one series; -1: there is none.
  double Figure(const std::string& series) const {
    const std::string text = "\n" + Get("/metrics").body;
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
  }
  void AwaitFigure(const std::string& series, double value) const {
    Await((series + " to be " + std::to_string(value)).c_str(), [&] { return Figure(series) == value; });
  }
  void AwaitReady(int status) const {
    Await("/ready", [&] { return Get("/ready").status == status; });
  }
  std::vector<std::string> ReasonCodes() const {
    std::vector<std::string> codes;
    const nlohmann::json ready = Json("/ready");
    if (ready.contains("reasons"))
      for (const auto& reason : ready.at("reasons")) codes.push_back(reason.at("code"));
    return codes;
  }
  void AwaitReason(const std::string& code) const {
    Await(code.c_str(), [&] { return ReasonCodes() == std::vector<std::string>{code}; });
  }
  bool NextHas(const std::string& text) const {
    const nlohmann::json status = Json("/status.json");
    for (const auto& advice : status.at("next"))
      if (advice.at("command").get<std::string>().find(text) != std::string::npos) return true;
    return false;
  }
};

TEST_CASE("every path of the admin HTTP answers, and none of them changes anything", "[admin]") {
  const Administered admin;
  admin.AwaitReady(200);
  CHECK(admin.Get("/health").status == 200);
  CHECK(admin.Get("/metrics").head.find("text/plain; version=0.0.4") != std::string::npos);
  CHECK(admin.Json("/status.json").at("ready") == true);
  CHECK(admin.Get("/nothing").status == 404);
  const HttpAnswer page = admin.Get("/");
  CHECK(page.status == 200);
  CHECK(page.head.find("default-src 'none'") != std::string::npos);
  std::smatch nonce;
  REQUIRE(std::regex_search(page.head, nonce, std::regex("script-src 'nonce-([^']{24})'")));
  CHECK(page.body.find("<script nonce=\"" + nonce[1].str() + "\">") != std::string::npos);
  CHECK(page.body.find("@NONCE@") == std::string::npos);
  CHECK(page.body.find("http://www.w3.org/2000/svg") != std::string::npos);  // the only address in it, and a name
  CHECK(std::regex_search(page.body, std::regex("(src|href)=\"(https?:)?//")) == false);
  CHECK(admin.Get("/").head.find(nonce[1].str()) == std::string::npos);
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    INFO(method);
    const HttpAnswer answer = Http(admin.port.number(), std::string(method) + " /health");
    CHECK(answer.status == 405);
    CHECK(answer.head.find("Allow: GET, HEAD") != std::string::npos);
    CHECK(answer.head.find("Access-Control") == std::string::npos);
  }
  const HttpAnswer head = Http(admin.port.number(), "HEAD /metrics");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(Http(admin.port.number(), "HEAD /events").status == 200);
}

TEST_CASE("what happens to events is counted where it happens", "[admin]") {
  Administered admin;
  admin.AwaitReady(200);
  CHECK(admin.stack.Xadd("s", {"data", "1", "event_id", "one"}).type == Reply::Type::kBulk);
  CHECK(admin.stack.Xadd("s", {"data", "1", "event_id", "one"}).type == Reply::Type::kBulk);
  admin.stack.sidecar.Call({"XADD", "s", "*"});
  admin.stack.sidecar.Call({"GET", "x"});
  admin.AwaitFigure("sprockets_relayed_commands_total", 1);
  CHECK(admin.Figure("sprockets_events_accepted_total{stream=\"s\"}") == 2);
  CHECK(admin.Figure("sprockets_events_landed_total{stream=\"s\"}") == 1);
  CHECK(admin.Figure("sprockets_events_deduplicated_total") == 1);
  CHECK(admin.Figure("sprockets_answer_duration_seconds_count{path=\"redis\"}") == 1);
  CHECK(admin.Figure("sprockets_window_ids") == 1);
  CHECK(admin.Figure("sprockets_breaker_opened_total") == 0);
  admin.stack.redis.Kill9();
  admin.AwaitReason("redis-away");
  CHECK(admin.Get("/ready").status == 503);
  CHECK(admin.Get("/ready?spilling=ok").status == 200);
  CHECK(admin.Get("/health").status == 200);
  admin.stack.Xadd("s", {"data", "2"});
  admin.AwaitFigure("sprockets_spill_rows", 1);
  CHECK(admin.Figure("sprockets_events_spilled_total{stream=\"s\"}") == 1);
  CHECK(admin.Figure("sprockets_answer_duration_seconds_count{path=\"disk\"}") == 1);
  CHECK(admin.Figure("sprockets_commit_duration_seconds_count") == 1);
  CHECK(admin.Figure("sprockets_breaker_open") == 1);
  CHECK(admin.Figure("sprockets_breaker_opened_total") == 1);
  CHECK(admin.Figure("sprockets_spill_files{state=\"active\"}") == 1);
  CHECK(admin.Figure("sprockets_spill_oldest_age_seconds") > 0);
  admin.stack.RestartRedis();
  admin.AwaitReady(200);
  CHECK(admin.NextHas("sprockets-replayer drain --redis " + admin.stack.redis.Url()));
  CHECK(admin.stack.Drain().exit_code == 0);
  admin.AwaitFigure("sprockets_spill_rows", 0);
  CHECK(admin.Figure("sprockets_spill_files{state=\"drained\"}") == 1);
  CHECK_FALSE(admin.NextHas("drain"));
}

TEST_CASE("with --ack disk the journal's figures are there, and Redis away is no reason not to take events",
          "[admin]") {
  Administered admin({.sidecar_options = {"--ack", "disk"}});
  admin.AwaitReady(200);
  admin.stack.Xadd("s", {"data", "1"});
  admin.AwaitFigure("sprockets_events_landed_total{stream=\"s\"}", 1);
  CHECK(admin.Figure("sprockets_events_spilled_total{stream=\"s\"}") == 1);
  CHECK(admin.Figure("sprockets_events_accepted_total{stream=\"s\"}") == 1);
  CHECK(admin.Figure("sprockets_answer_duration_seconds_count{path=\"disk\"}") == 1);
  admin.stack.redis.Kill9();
  admin.AwaitReason("redis-away");
  admin.stack.Xadd("s", {"data", "2"});
  admin.AwaitFigure("sprockets_journal_streams_behind", 1);
  CHECK(admin.Get("/ready?spilling=ok").status == 200);
  CHECK(admin.Figure("sprockets_breaker_opened_total") == 1);
  CHECK_FALSE(admin.NextHas("drain"));
}

TEST_CASE("a wrong password makes the sidecar unready, says so, and appears nowhere", "[admin]") {
  const Administered admin({.redis_up = false,
                            .redis_user = "sidecar:not-to-be-seen",
                            .redis_options = {"--user", "sidecar", "on", ">right", "~*", "+@all"}});
  const_cast<RedisServer&>(admin.stack.redis).Start();
  admin.AwaitReason("redis-refuses-login");
  CHECK(admin.Get("/health").status == 200);
  CHECK(admin.NextHas("--check-config --probe"));
  for (const char* path : {"/", "/metrics", "/status.json", "/ready", "/health"})
    CHECK(admin.Get(path).body.find("not-to-be-seen") == std::string::npos);
}

TEST_CASE("a stream that Redis refuses alone is named until it is taken again", "[admin]") {
  Administered admin;
  admin.AwaitReady(200);
  admin.stack.redis.Call({"SET", "s", "no stream"});
  admin.stack.Xadd("s", {"data", "1"});
  admin.AwaitReason("stream-refused");
  CHECK(admin.Figure("sprockets_stream_refused{stream=\"s\"}") == 1);
  admin.stack.redis.Call({"DEL", "s"});
  Await("the stream to be taken", [&] {
    admin.stack.Xadd("s", {"data", "2"});
    return admin.Figure("sprockets_streams_refused") == 0;
  });
  admin.AwaitReady(200);
}

TEST_CASE("names from outside cannot break the metrics, and are data on the page", "[admin]") {
  Administered admin;
  admin.AwaitReady(200);
  const std::string script = "</script><img src=x onerror=alert(1)>";
  for (const std::string& stream : {std::string("q\"\n\\"), std::string("z\xff\xfe\0n", 5), script})
    admin.stack.Xadd(stream, {"data", "1"});
  admin.AwaitFigure("sprockets_events_accepted_total{stream=\"" + script + "\"}", 1);
  CHECK(admin.Figure(R"(sprockets_events_accepted_total{stream="q\"\n\\"})") == 1);
  CHECK(admin.Figure(R"(sprockets_events_accepted_total{stream="z\\xff\\xfe\\x00n"})") == 1);
  CHECK(admin.Get("/").body.find("alert(1)") == std::string::npos);  // the page itself holds no data
  CHECK(admin.Json("/status.json").at("streams").size() == 3);
}

TEST_CASE("/events tells all, then each second what is new", "[admin]") {
  const Administered admin;
  admin.AwaitReady(200);
  const HttpConnection page(admin.port.number());
  page.Send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
  const std::string begun = page.Read("\n\n");
  CHECK(begun.find("Content-Type: text/event-stream") != std::string::npos);
  const std::string more = page.Read("\n\n");
  REQUIRE(more.starts_with("data: {"));
  CHECK(nlohmann::json::parse(more.substr(6, more.find('\n') - 6)).at("ready") == true);
}

TEST_CASE("pages beyond the fourth are told so, and leave room for monitors", "[admin]") {
  const Administered admin;
  admin.AwaitReady(200);
  std::vector<std::unique_ptr<HttpConnection>> pages;
  for (int i = 0; i < 4; ++i) {
    pages.push_back(std::make_unique<HttpConnection>(admin.port.number()));
    pages.back()->Send("GET /events HTTP/1.1\r\n\r\n");
    pages.back()->Read("data: ");
  }
  CHECK(admin.Get("/events").status == 503);
  CHECK(admin.Get("/health").status == 200);
  pages.clear();
  Await("a place", [&] {
    const HttpConnection page(admin.port.number());
    page.Send("GET /events HTTP/1.1\r\n\r\n");
    return page.Read("\r\n").find(" 200 ") != std::string::npos;
  });
}

TEST_CASE("a megabyte of headers is refused, and nothing of it is repeated", "[admin]") {
  const Administered admin;
  admin.AwaitReady(200);
  const HttpConnection connection(admin.port.number());
  connection.Send("GET /health HTTP/1.1\r\nX: " + std::string(1'000'000, 'a') + "\r\n\r\n");
  const std::string answer = connection.Read();
  CHECK(answer.find(" 200 ") == std::string::npos);
  CHECK(answer.find("aaaa") == std::string::npos);
  CHECK(admin.Get("/health").status == 200);
}

TEST_CASE("a thousand scrapers that never read delay no event, and the next monitor is served", "[admin]") {
  Administered admin;
  admin.AwaitReady(200);
  std::vector<std::unique_ptr<HttpConnection>> scrapers;
  for (int i = 0; i < 1'000; ++i) {
    scrapers.push_back(std::make_unique<HttpConnection>(admin.port.number(), /*receive_bytes=*/1024));
    scrapers.back()->Send(i % 2 == 0 ? "GET /metrics HTTP/1.1\r\n\r\n" : "GET /events HTTP/1.1\r\n\r\n");
  }
  RespClient client = admin.stack.sidecar.Connect();
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i)
    CHECK(client.Call({"XADD", "s", "*", "data", std::to_string(i)}).type == Reply::Type::kBulk);
  // Each would wait for seconds behind a peer that does not read; half a second is for a busy machine.
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(25));
  scrapers.clear();
  CHECK(admin.Get("/health").status == 200);
  admin.AwaitFigure("sprockets_events_landed_total{stream=\"s\"}", 500);
}

TEST_CASE("a sidecar that stands still answers no monitor, and answers again when it goes on", "[admin]") {
  Administered admin;
  admin.AwaitReady(200);
  admin.stack.sidecar.Stop();
  const HttpConnection connection(admin.port.number());
  connection.Send("GET /health HTTP/1.1\r\n\r\n");
  CHECK_THROWS(connection.Read("", std::chrono::milliseconds(300)));
  admin.stack.sidecar.Continue();
  Await("an answer", [&] { return admin.Get("/health").status == 200; });
}

TEST_CASE("an address that is taken, or names nothing, refuses the start", "[admin]") {
  const Administered admin;
  const TempDir folder;
  const auto start = [&](const std::string& address) {
    return RunSidecar(folder.path(), {"--socket", (folder / "s").string(), "--spill-dir", (folder / "spill").string(),
                                      "--redis", "redis://127.0.0.1:1", "--admin", address});
  };
  const RunResult taken = start(std::to_string(admin.port.number()));
  INFO(taken.err);
  CHECK(taken.exit_code == 3);
  CHECK(taken.err.find("--admin: cannot listen on 127.0.0.1:") != std::string::npos);
  CHECK(start("nowhere:1").exit_code == 2);
}

TEST_CASE("SIGTERM ends a sidecar whose pages are open", "[admin]") {
  Administered admin;
  admin.AwaitReady(200);
  const HttpConnection page(admin.port.number(), /*receive_bytes=*/1024);
  page.Send("GET /events HTTP/1.1\r\n\r\n");
  page.Read("data: ");
  CHECK(admin.stack.sidecar.Terminate() == 0);
}

}  // namespace
}  // namespace sprockets::harness
