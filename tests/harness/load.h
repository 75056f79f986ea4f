// Clients that keep sending while a test does its worst.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/harness/careful_client.h"
#include "tests/harness/ledger.h"

namespace sprockets::harness {

/// Some careful clients, a thread and a connection each, that share a series of sample events.
class Load {
 public:
  struct Options {
    size_t clients = 4;
    size_t pipeline = 8;                 // events of one go
    std::chrono::milliseconds pause{5};  // of each client between its pipelines
    uint64_t first_event = 0;            // of the series; another one for each load of a test
    uint64_t events = UINT64_MAX;        // then they stop by themselves
    bool always_id = true;    // every event has a client's id, so that it may be sent again after a broken connection
    size_t impatient = 0;     // so many of the clients, the last ones, give up what was refused, send half of their
                              // events without an id, and now and then one that is INVALID
    bool redelivers = false;  // the careful ones send every eighth pipeline again when it is acknowledged
    std::chrono::milliseconds limit = kPatience;                        // until an event must be acknowledged
    std::map<std::string, std::vector<std::string>> xadd_options = {};  // by stream
  };

  /// They begin at once. `ledger` must outlive them.
  Load(const std::filesystem::path& socket_path, Ledger& ledger, const Options& options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  CarefulClient::Counts counts() const;
  size_t acknowledged() const { return counts().landed + counts().spilled; }
  /// Until so many events in all are acknowledged. Throws if a client failed.
  void AwaitAcknowledged(size_t events) const;
  /// Until every client has sent all of its events.
  void AwaitEnd();
  /// Sends nothing new, and waits until everything that was sent is acknowledged.
  void Stop();

 private:
  void Run(size_t client, CarefulClient connection);
  void Join();
  void ThrowIfOneFailed() const;

  const Options options_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  CarefulClient::Counts counts_;  // Guarded by mutex_
  std::string problem_;           // Guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace sprockets::harness
