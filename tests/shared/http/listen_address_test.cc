#include "shared/http/listen_address.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

std::string TextOf(std::string_view text) {
  const auto address = ParseListenAddress(text);
  return address.ok() ? address.value().Text() : "error: " + address.error().message;
}

TEST_CASE("a port alone is one of this machine") {
  CHECK(TextOf("9469") == "127.0.0.1:9469");
  CHECK(TextOf("localhost:9469") == "127.0.0.1:9469");
  CHECK(ParseListenAddress("9469").value().is_loopback());
}

TEST_CASE("an address is loopback only if nobody else reaches it") {
  CHECK(TextOf("[::1]:80") == "[::1]:80");
  CHECK(ParseListenAddress("[::1]:80").value().is_loopback());
  CHECK_FALSE(ParseListenAddress("0.0.0.0:80").value().is_loopback());
  CHECK_FALSE(ParseListenAddress("[::]:80").value().is_loopback());
}

TEST_CASE("what names no address or no port is refused with the way out") {
  for (const char* text : {"", ":", "host:80", "::1:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                           "127.0.0.1:80,81", "[127.0.0.1]:80", "1.2.3:80", "+80"}) {
    INFO(text);
    CHECK(TextOf(text).starts_with("error: "));
  }
  CHECK(TextOf("unix:/run/admin.sock").find("127.0.0.1:9469") != std::string::npos);
}

}  // namespace
}  // namespace sprockets
