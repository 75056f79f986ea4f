// The breaker: whether events may go to Redis now. Closed: yes. Open: every event spills at once, until Redis has
// proven itself again. Pure: it is told what happened and keeps no clock.
#pragma once

#include <cstdint>
#include <string_view>

namespace sprockets {

class Breaker {
 public:
  enum class State { kOpen, kClosed };

  /// `refusals_to_open`: that many refusals of the server in a row open it; one lost connection does.
  explicit Breaker(int refusals_to_open) : refusals_to_open_(refusals_to_open) {}

  /// It begins open: nothing is known of Redis yet.
  State state() const { return state_; }
  bool closed() const { return state_ == State::kClosed; }
  /// That it was closed before counts; that it begins open does not.
  uint64_t times_opened() const { return times_opened_; }

  void OnConnectionLost() { Open(); }
  void OnProbeFailed() { Open(); }
  void OnProbePassed() {
    state_ = State::kClosed;
    refusals_ = 0;
  }
  void OnLanded() { refusals_ = 0; }
  /// True if this refusal opened it.
  bool OnRefused() {
    if (!closed() || ++refusals_ < refusals_to_open_) return false;
    Open();
    return true;
  }

 private:
  void Open() {
    if (closed()) ++times_opened_;
    state_ = State::kOpen;
    refusals_ = 0;
  }

  const int refusals_to_open_;
  State state_ = State::kOpen;
  int refusals_ = 0;
  uint64_t times_opened_ = 0;
};

constexpr std::string_view NameOf(Breaker::State state) {
  switch (state) {
    case Breaker::State::kOpen:
      return "open";
    case Breaker::State::kClosed:
      return "closed";
  }
  return "?";
}

}  // namespace sprockets
