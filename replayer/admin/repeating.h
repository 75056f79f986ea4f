// Something that is done again and again, about once a second, on a thread of its own.
#pragma once

#include <functional>
#include <stop_token>
#include <thread>

namespace sprockets {

class Repeating {
 public:
  /// `work` is called at once, and again a second after it has ended; later where it took long, so that it is at work
  /// for a small part of the time. It ends soon when its token says so.
  using Work = std::function<void(const std::stop_token&)>;
  explicit Repeating(Work work);
  /// Waits for the call that is at work.
  ~Repeating() = default;
  Repeating(const Repeating&) = delete;
  Repeating& operator=(const Repeating&) = delete;

 private:
  std::jthread thread_;
};

}  // namespace sprockets
