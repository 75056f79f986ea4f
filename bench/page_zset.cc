// page_zset SOCKET KEY: reads a sorted set page by page and does nothing with it; prints members per second. What a
// comparison by value cannot do without: the other half of side_by_side's row "compare it by value".
#include <chrono>
#include <cstdio>
#include <string>

#include "replayer/redis/client.h"

namespace sprockets::bench {
namespace {

constexpr size_t kPage = 1000;

Result<double> Read(const char* socket, const char* key) {
  RedisUrl url;
  url.socket_path = socket;
  ASSIGN_OR_RETURN(RedisClient redis, RedisClient::Connect(url, 10'000));
  const auto begun = std::chrono::steady_clock::now();
  for (size_t at = 0;; at += kPage) {
    ASSIGN_OR_RETURN(const RedisClient::Reply page,
                     redis.Call({"ZRANGE", key, std::to_string(at), std::to_string(at + kPage - 1), "WITHSCORES"}));
    if (page->elements == 2 * kPage) continue;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begun;
    return static_cast<double>(at + page->elements / 2) / elapsed.count();
  }
}

}  // namespace
}  // namespace sprockets::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: page_zset SOCKET KEY\n");
    return 2;
  }
  const auto rate = sprockets::bench::Read(argv[1], argv[2]);
  if (!rate.ok()) {
    std::fprintf(stderr, "page_zset: %s\n", rate.error().message.c_str());
    return 1;
  }
  std::printf("%.0f\n", rate.value());
}
