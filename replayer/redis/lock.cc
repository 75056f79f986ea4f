#include "replayer/redis/lock.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

#include "replayer/redis/pipeline.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"

namespace sprockets {
namespace {

constexpr std::string_view kKey = "sprockets:rebuild:lock";
constexpr int64_t kLockPatienceMs = RedisLock::kLifeMs + 1'000;
constexpr int64_t kRenewMs = 400;  // also keeps the connection from Redis's `timeout`, whose least is a second

// KEYS: the lock. ARGV: its owner, and for how long. 1: it is the owner's. A lock that is gone may be taken: FLUSHALL,
// or an owner that was silent for too long without anybody else to notice.
constexpr std::string_view kRenew = R"(
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if owner then redis.call('PEXPIRE', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1)";

constexpr std::string_view kRelease = R"(
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return 1)";

std::string NewToken() {
  std::random_device random;
  return std::to_string(random()) + "-" + std::to_string(random());
}

}  // namespace

Result<std::unique_ptr<RedisLock>> RedisLock::Take(const RedisUrl& url, int64_t deadline_ms) {
  ASSIGN_OR_RETURN(RedisClient redis, RedisClient::Connect(url, deadline_ms));
  std::unique_ptr<RedisLock> lock(new RedisLock(std::move(redis), NewToken()));
  const int64_t begun_ms = SteadyClockMs();
  while (true) {
    ASSIGN_OR_RETURN(const bool taken, lock->Renew());
    if (taken) break;
    if (SteadyClockMs() - begun_ms > kLockPatienceMs || !SleepUnlessStopped(100))
      return Error{ErrorCode::kBusy, "another rebuild is at work in this Redis: wait for it, or stop it"};
  }
  lock->keeper_ = std::jthread([held = lock.get()](const std::stop_token& stop) { held->Keep(stop); });
  return lock;
}

RedisLock::RedisLock(RedisClient redis, std::string token) : redis_(std::move(redis)), token_(std::move(token)) {}

RedisLock::~RedisLock() {
  keeper_.request_stop();
  if (keeper_.joinable()) keeper_.join();
  // If this fails it passes by itself.
  [[maybe_unused]] const auto released = redis_.Call({"EVAL", kRelease, "1", kKey, token_});
}

Status RedisLock::Check() const {
  if (!lost_ && SteadyClockMs() - held_ms_ <= kLifeMs) return {};
  return Error{ErrorCode::kBusy, "the lock of this rebuild in Redis was lost, and another one may be at work"};
}

Result<bool> RedisLock::Renew() {
  const int64_t asked_ms = SteadyClockMs();
  ASSIGN_OR_RETURN(const RedisClient::Reply reply,
                   redis_.Call({"EVAL", kRenew, "1", kKey, token_, std::to_string(kLifeMs)}));
  RETURN_IF_ERROR(RefuseError(*reply).Prefixed(std::string(kKey)));
  if (reply->integer != 1) return false;
  held_ms_ = asked_ms;
  return true;
}

void RedisLock::Keep(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex);
      woken.wait_for(lock, stop, std::chrono::milliseconds(kRenewMs), [] { return false; });
    }
    if (stop.stop_requested()) return;
    const Result<bool> renewed = Renew();
    if (renewed.ok() && renewed.value()) continue;
    // An error reply may pass (Redis is busy): until then Check goes by the time.
    if (!renewed.ok() && renewed.error().code != ErrorCode::kUnreachable) continue;
    lost_ = true;
    return;
  }
}

}  // namespace sprockets
