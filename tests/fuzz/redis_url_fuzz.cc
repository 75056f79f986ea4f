// URLs of Redis, with a password put in at any place: no error repeats it, no log shows it where it is one, and what is
// logged leads to the same server.
#include <algorithm>
#include <fuzzer/FuzzedDataProvider.h>
#include <string>

#include "shared/base/limits.h"
#include "shared/base/text.h"
#include "shared/redis/url.h"

namespace sprockets::fuzz {
namespace {

constexpr std::string_view kPassword = "hunter2";

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

void CheckUrl(const RedisUrl& url) {
  SPROCKETS_ASSERT(url.host.empty() != url.socket_path.empty());
  SPROCKETS_ASSERT(url.port >= 1 && url.port <= 65535 && url.database >= 0);
  SPROCKETS_ASSERT(url.socket_path.size() <= kMaxSocketPathBytes && !Contains(url.socket_path, std::string(1, '\0')));
  const std::string logged = url.ForLogs();
  const bool is_address = Contains(url.host, kPassword) || Contains(url.socket_path, kPassword);
  SPROCKETS_ASSERT(is_address || !Contains(logged, kPassword));

  if (Escape(url.socket_path) != url.socket_path || url.socket_path.find_first_of("%?") != std::string::npos) return;
  const Result<RedisUrl> again = ParseRedisUrl(logged);
  SPROCKETS_ASSERT(again.ok());
  SPROCKETS_ASSERT(again.value().host == url.host && again.value().port == url.port &&
                   again.value().socket_path == url.socket_path && again.value().database == url.database);
  SPROCKETS_ASSERT(again.value().user.empty() && again.value().password.empty());
}

void CheckText(const std::string& text) {
  const Result<RedisUrl> url = ParseRedisUrl(text);
  if (url.ok()) {
    CheckUrl(url.value());
  } else {
    SPROCKETS_ASSERT(url.error().code == ErrorCode::kUsage);
    SPROCKETS_ASSERT(!Contains(url.error().message, kPassword));
  }
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const size_t password_at = input.ConsumeIntegral<uint8_t>();
  std::string text = input.ConsumeRemainingBytesAsString();
  sprockets::fuzz::CheckText(text);
  text.insert(std::min(password_at, text.size()), sprockets::fuzz::kPassword);
  sprockets::fuzz::CheckText(text);
  return 0;
}
