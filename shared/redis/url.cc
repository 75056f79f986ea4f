// Where Redis is and how to log in, as given by --redis. Pure.
// No error repeats any part of the text: a mistyped URL may have its password anywhere.
#include "shared/redis/url.h"

#include <algorithm>
#include <limits>

#include "shared/base/limits.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr std::string_view kTcpScheme = "redis://";
constexpr std::string_view kUnixScheme = "unix://";

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Result<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      decoded.push_back(text[at]);
      continue;
    }
    const std::optional<char> byte = HexByte(text.substr(at + 1, 2));
    if (!byte) return UsageError("a '%' is not followed by two hex digits (a literal one is %25)");
    decoded.push_back(*byte);
    at += 2;
  }
  return decoded;
}

/// `[user]:password`. A lone word is refused: clients disagree whether it is the user or the password.
Status ParseLogin(std::string_view login, RedisUrl* url) {
  const size_t colon = login.find(':');
  if (colon == std::string_view::npos) return UsageError("before '@' there must be user:password or :password");
  ASSIGN_OR_RETURN(url->user, PercentDecode(login.substr(0, colon)));
  ASSIGN_OR_RETURN(url->password, PercentDecode(login.substr(colon + 1)));
  return {};
}

Status ParseDatabase(std::string_view text, RedisUrl* url) {
  const Result<int64_t> database = ParseInteger(text, 0, std::numeric_limits<int>::max());
  if (!database.ok())
    return UsageError("the database must be a whole number, as in redis://host:6379/0 or unix:///path?db=0");
  url->database = static_cast<int>(database.value());
  return {};
}

Status ParsePort(std::string_view text, RedisUrl* url) {
  const Result<int64_t> port = ParseInteger(text, 1, 65535);
  if (!port.ok())
    return UsageError(
        "the port must be a number from 1 to 65535; special characters of a password are percent-encoded");
  url->port = static_cast<int>(port.value());
  return {};
}

/// `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
Status ParseAddress(std::string_view address, RedisUrl* url) {
  const bool is_ipv6 = address.starts_with('[');
  const size_t host_end = is_ipv6 ? address.find(']') : std::min(address.find(':'), address.size());
  if (host_end == std::string_view::npos) return UsageError("an IPv6 address must end with ']'");

  const std::string_view host = is_ipv6 ? address.substr(1, host_end - 1) : address.substr(0, host_end);
  const std::string_view punctuation = is_ipv6 ? ":." : ".-_";
  const bool well_formed = std::all_of(host.begin(), host.end(), [&](char c) {
    return IsAlphanumeric(c) || punctuation.find(c) != std::string_view::npos;
  });
  if (host.empty() || !well_formed)
    return UsageError("the host is missing or has characters that are not allowed in host names");
  url->host = host;

  const std::string_view rest = address.substr(host_end + (is_ipv6 ? 1 : 0));
  if (rest.empty()) return {};
  if (rest.front() != ':') return UsageError("after the host, only :port and /database are allowed");
  return ParsePort(rest.substr(1), url);
}

Status ParseTcp(std::string_view rest, RedisUrl* url) {
  const size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    RETURN_IF_ERROR(ParseLogin(authority.substr(0, at), url));
    authority.remove_prefix(at + 1);
  }
  RETURN_IF_ERROR(ParseAddress(authority, url));
  const std::string_view database = rest.substr(std::min(slash + 1, rest.size()));
  return database.empty() ? Status() : ParseDatabase(database, url);
}

Status ParseUnix(std::string_view rest, RedisUrl* url) {
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos)
    return UsageError("the path of the socket must be absolute, as in unix:///run/redis.sock");
  if (slash > 0) {
    if (rest[slash - 1] != '@') {
      return UsageError(
          "between unix:// and the absolute path, only user:password@ is allowed, as in unix:///run/redis.sock");
    }
    RETURN_IF_ERROR(ParseLogin(rest.substr(0, slash - 1), url));
  }
  const size_t question = std::min(rest.find('?', slash), rest.size());
  ASSIGN_OR_RETURN(url->socket_path, PercentDecode(rest.substr(slash, question - slash)));
  if (url->socket_path.find('\0') != std::string::npos) return UsageError("the path of the socket has a NUL byte");
  if (url->socket_path.size() > kMaxSocketPathBytes) {
    return UsageError("the path of the socket is longer than the " + std::to_string(kMaxSocketPathBytes) +
                      " bytes that the operating system allows; use a shorter path");
  }
  if (question == rest.size()) return {};
  const std::string_view query = rest.substr(question + 1);
  if (!query.starts_with("db=")) return UsageError("after the path, only ?db=N is allowed");
  return ParseDatabase(query.substr(3), url);
}

}  // namespace

std::string RedisUrl::Server() const {
  if (!socket_path.empty()) return "unix://" + Escape(socket_path);
  const std::string shown_host = host.find(':') == std::string::npos ? host : '[' + host + ']';
  return "redis://" + shown_host + ':' + std::to_string(port);
}

std::string RedisUrl::ForLogs() const {
  if (database == 0) return Server();
  return Server() + (socket_path.empty() ? "/" : "?db=") + std::to_string(database);
}

Result<RedisUrl> ParseRedisUrl(std::string_view text) {
  RedisUrl url;
  Status status;
  if (text.starts_with(kTcpScheme)) {
    status = ParseTcp(text.substr(kTcpScheme.size()), &url);
  } else if (text.starts_with(kUnixScheme)) {
    status = ParseUnix(text.substr(kUnixScheme.size()), &url);
  } else if (text.starts_with("rediss://")) {
    status = UsageError(
        "rediss:// is not supported, because the Redis client library (hiredis 0.14) has no TLS: run stunnel as a TLS "
        "client in front of Redis and use redis:// with its local address");
  } else {
    status = UsageError("must be redis://[user:password@]host[:port][/db] or unix:///path[?db=N]");
  }
  if (!status.ok()) return std::move(status).error().Prefixed("Redis URL");
  return url;
}

}  // namespace sprockets
