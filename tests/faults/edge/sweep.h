// The same story again and again, and each time another call of it goes wrong.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/faults/edge/injected_fault.h"
#include "tests/faults/edge/trial.h"
#include "tests/harness/proxy.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

using Words = std::vector<std::string>;

/// When calls begin to count: at once, or when the story says Trial::Arm.
enum class Armed { kFromTheStart, kByTheStory };

/// What all trials of a sweep share: a Redis, and an address where there is none.
class Sweep {
 public:
  Sweep();

  /// Takes the prefix of the program that is struck.
  using Story = std::function<void(Trial&, const Words& prefix)>;

  /// The story with a fault at its first call, at its second one, … until it ends before the n-th call comes; after
  /// each `conclude`. Only with SPROCKETS_LONG_TESTS at each call, and at each write of a burst; without, at every third
  /// one, beginning anywhere. Fails if the story has fewer than ten calls: then it was none.
  void AtEach(const Trial::Options& options, InjectedFault fault, Armed armed, const Story& story,
              const std::function<void(Trial&)>& conclude);
  /// Killed before each call, and, where it is a write, in the middle of it.
  void KillAtEach(const Trial::Options& options, Armed armed, const Story& story);

  RedisServer& redis() { return redis_; }
  std::string NoRedis() const { return "redis://127.0.0.1:" + std::to_string(closed_port_.number()); }

 private:
  TempDir folder_;
  RedisServer redis_;
  ReservedPort closed_port_;
};

/// A spill folder, and the books, as a sidecar left them: where stories begin.
class Scene {
 public:
  /// `prepare` finds the sidecar started, without Redis, and ends it.
  Scene(Sweep& sweep, const std::function<void(Trial&)>& prepare);
  Trial::Options Options() const;

 private:
  Trial trial_;
  std::string redis_url_;
};

}  // namespace sprockets::harness
