// Those who use the streams beside the sidecar: a second writer, and an operator who takes entries out.
#pragma once

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <thread>

#include "tests/harness/redis_server.h"

namespace sprockets::soak {

/// XADD * straight into Redis, to the streams that others write to, for as long as it lives. What it adds may be lost.
class SecondWriter {
 public:
  /// `redis` must outlive it.
  explicit SecondWriter(const harness::RedisServer& redis);
  ~SecondWriter();
  SecondWriter(const SecondWriter&) = delete;
  SecondWriter& operator=(const SecondWriter&) = delete;

 private:
  void Run(const harness::RedisServer& redis);

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Operator {
 public:
  /// XTRIM, XDEL or DEL of some entries of a stream on which that is to be expected.
  void Remove(const harness::RedisServer& redis, int choice);
  /// What was taken out until now, by Ledger::KeyOf; a Redis that forgets may have it again.
  const std::set<std::string>& removed() const { return removed_; }

 private:
  std::set<std::string> removed_;
};

}  // namespace sprockets::soak
