#include "tests/harness/wait.h"

#include <stdexcept>
#include <string>
#include <thread>

namespace sprockets::harness {

bool WaitUntil(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return true;
}

void Await(const char* what, const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  if (WaitUntil(condition, limit)) return;
  throw std::runtime_error("waited " + std::to_string(limit.count()) + "ms for " + what);
}

}  // namespace sprockets::harness
