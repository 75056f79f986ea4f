// The URL of Redis, as people mistype it.
#include "shared/redis/url.h"

#include <catch2/catch.hpp>

#include "shared/base/limits.h"

namespace sprockets {
namespace {

TEST_CASE("a URL that cannot be meant is refused as a usage error") {
  for (const std::string& text : {std::string(),
                                  std::string("localhost:6379"),
                                  std::string("http://localhost"),
                                  std::string("redis:/localhost"),
                                  std::string("redis://"),
                                  std::string("redis://:6379"),
                                  std::string("redis://host:"),
                                  std::string("redis://host:0"),
                                  std::string("redis://host:65536"),
                                  std::string("redis://host:port"),
                                  std::string("redis://host/x"),
                                  std::string("redis://host/-1"),
                                  std::string("redis://host/0/1"),
                                  std::string("redis://host/0?ssl=true"),
                                  std::string("redis://user@host"),
                                  std::string("redis://::1:6379"),
                                  std::string("redis://[::1"),
                                  std::string("redis://[::1]x"),
                                  std::string("redis://[]"),
                                  std::string("redis://ho st"),
                                  std::string("redis://:%4@host"),
                                  std::string("redis://:%zz@host"),
                                  std::string("unix://relative"),
                                  std::string("unix://"),
                                  std::string("unix://relative/path"),
                                  std::string("unix:///a%00b"),
                                  std::string("unix:///path?db=x"),
                                  std::string("unix:///path?database=1"),
                                  "unix:///" + std::string(kMaxSocketPathBytes, 'x')}) {
    INFO(text);
    const auto url = ParseRedisUrl(text);
    REQUIRE_FALSE(url.ok());
    CHECK(url.error().code == ErrorCode::kUsage);
  }
}

TEST_CASE("TLS is refused with the way out") {
  CHECK(ParseRedisUrl("rediss://host").error().message.find("stunnel") != std::string::npos);
}

TEST_CASE("no error and no log line shows the password") {
  for (const char* text : {"redis://:secret@", "redis://:secret@host:x", "redis://:sec/secret@host",
                           "redis://secret@host", "redis://:secret@host/x", "redis://:secret%@host",
                           "rediss://:secret@host", "secret", "unix://:secret@relative", "unix://:secret@/path?x"}) {
    INFO(text);
    REQUIRE_FALSE(ParseRedisUrl(text).ok());
    CHECK(ParseRedisUrl(text).error().message.find("secret") == std::string::npos);
  }
  CHECK(ParseRedisUrl("redis://user:secret@host:7000/3").value().ForLogs() == "redis://host:7000/3");
  CHECK(ParseRedisUrl("unix://user:secret@/run/r.sock?db=2").value().ForLogs() == "unix:///run/r.sock?db=2");
}

TEST_CASE("a TCP URL gives host, port, login and database") {
  const RedisUrl url = ParseRedisUrl("redis://alfred:p%40ss%3A%2F@redis.internal:6380/4").value();
  CHECK(url.host == "redis.internal");
  CHECK(url.port == 6380);
  CHECK(url.user == "alfred");
  CHECK(url.password == "p@ss:/");
  CHECK(url.database == 4);
  CHECK(url.socket_path.empty());

  const RedisUrl plain = ParseRedisUrl("redis://localhost").value();
  CHECK(plain.host == "localhost");
  CHECK(plain.port == 6379);
  CHECK(plain.database == 0);
  CHECK(plain.password.empty());
  CHECK(ParseRedisUrl("redis://localhost/").ok());
  CHECK(ParseRedisUrl("redis://:a:b@h").value().password == "a:b");
}

TEST_CASE("an IPv6 address loses its brackets, and gets them back in logs") {
  const RedisUrl url = ParseRedisUrl("redis://[fe80::1]:6390/0").value();
  CHECK(url.host == "fe80::1");
  CHECK(url.port == 6390);
  CHECK(url.ForLogs() == "redis://[fe80::1]:6390");
}

TEST_CASE("a Unix URL gives the decoded path, login and database") {
  const RedisUrl url = ParseRedisUrl("unix:///run/my%20redis.sock?db=7").value();
  CHECK(url.socket_path == "/run/my redis.sock");
  CHECK(url.database == 7);
  const RedisUrl with_login = ParseRedisUrl("unix://u:p@/run/redis.sock").value();
  CHECK(with_login.user == "u");
  CHECK(with_login.password == "p");
  CHECK(with_login.socket_path == "/run/redis.sock");
  CHECK(ParseRedisUrl("unix:///run/at@sign.sock").value().socket_path == "/run/at@sign.sock");
}

}  // namespace
}  // namespace sprockets
