#include "shared/http/listen_address.h"

#include <arpa/inet.h>

#include "shared/base/text.h"

namespace sprockets {

namespace {

constexpr int64_t kHighestPort = 65535;

bool IsNumeric(int family, const std::string& host) {
  unsigned char address[16];
  return inet_pton(family, host.c_str(), address) == 1;
}

}  // namespace

bool ListenAddress::is_loopback() const {
  return host == "::1" || host.starts_with("127.");
}

std::string ListenAddress::Text() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  if (text.starts_with("unix:"))
    return UsageError("Unix sockets are not supported here: give an address such as 127.0.0.1:9469");
  ListenAddress address;
  const size_t colon = text.rfind(':');
  std::string host(colon == std::string_view::npos ? "localhost" : text.substr(0, colon));
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) host = host.substr(1, host.size() - 2);
  address.host = host == "localhost" ? "127.0.0.1" : host;
  if (!IsNumeric(has_brackets ? AF_INET6 : AF_INET, address.host))
    return UsageError("'" + Escape(text) +
                      "' names no address: write PORT, 127.0.0.1:PORT, 0.0.0.0:PORT or [::1]:PORT");
  const auto port = ParseInteger(colon == std::string_view::npos ? text : text.substr(colon + 1), 0, kHighestPort);
  if (!port.ok()) return UsageError("'" + Escape(text) + "' has no port between 0 and 65535");
  address.port = static_cast<int>(port.value());
  return address;
}

}  // namespace sprockets
