#include "sidecar/redis/relay_pool.h"

#include <algorithm>
#include <utility>

#include "sidecar/redis/relay_connection.h"

namespace sprockets {

namespace {

constexpr size_t kReadBufferBytes = 64 * 1024;

}  // namespace

RelayPool::RelayPool(uv_loop_t* loop, Options options, std::function<std::string()> address)
    : loop_(loop),
      options_(std::move(options)),
      address_(std::move(address)),
      read_buffer_(kReadBufferBytes),
      stop_timer_(loop, [this] { EndAll("stopping"); }) {}

RelayPool::~RelayPool() = default;

std::unique_ptr<RelayLine> RelayPool::Open(RelayLineOwner* owner, int protocol, const std::string& name) {
  if (lines_.size() >= options_.most_lines && !MakeRoom()) return nullptr;
  auto line = std::make_unique<RelayConnection>(this, owner, options_.url, protocol, name);
  lines_.push_back(line.get());
  line->Connect(loop_, address_(), options_.timeout_ms);
  return line;
}

// Whoever has used its connection least lately, and does not depend on it, gives it up.
bool RelayPool::MakeRoom() {
  std::vector<RelayConnection*> oldest_first = lines_;
  std::sort(oldest_first.begin(), oldest_first.end(),
            [](const auto* a, const auto* b) { return a->used_ms() < b->used_ms(); });
  return std::any_of(oldest_first.begin(), oldest_first.end(),
                     [](RelayConnection* line) { return line->owner()->SpareRelayLine(); });
}

void RelayPool::EndAll(std::string_view why) {
  for (RelayConnection* line : std::vector<RelayConnection*>(lines_)) {
    // One that ends may take others along.
    if (std::find(lines_.begin(), lines_.end(), line) != lines_.end()) line->owner()->OnRelayLost(why);
  }
}

void RelayPool::WantsFlush(RelayConnection* line) {
  if (!std::exchange(line->flush_wanted, true)) to_flush_.push_back(line);
}

void RelayPool::Flush() {
  while (!to_flush_.empty()) {
    RelayConnection* line = to_flush_.back();
    to_flush_.pop_back();
    line->flush_wanted = false;
    line->Flush();
  }
}

void RelayPool::Forget(RelayConnection* line) {
  std::erase(lines_, line);
  std::erase(to_flush_, line);
}

}  // namespace sprockets
