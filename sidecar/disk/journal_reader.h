// Reads pages of rows back from the journals of --ack disk, for whoever sends them: on a thread of its own, so that
// neither the loop nor the writer waits for it. It knows the files that no writer has open, sealed or suspect; what the
// active file holds must be sealed before it is asked for.
//
// Every public function is called on the loop thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shared/ahead/journal.h"
#include "shared/journal/journal_pages.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// The answer to a JournalRead, in any order over the streams. Rows that a later one has superseded are among them.
struct JournalPageRead {
  std::string stream;
  JournalPage page;
};

class JournalReader {
 public:
  /// The folder must outlive it. `wake_loop` is called on the reader's thread whenever there are pages to collect, and
  /// must be callable until Join has returned.
  JournalReader(const SpillFolder& folder, std::function<void()> wake_loop);
  ~JournalReader();

  /// For the next Submit. A read of a stream takes the place of an earlier one that was not begun: that one is never
  /// answered.
  void Queue(JournalRead read) { gathered_.push_back(std::move(read)); }
  void Submit();
  /// What is done since the last call.
  std::vector<JournalPageRead> Collect();
  /// What is queued is forgotten.
  void Join();

 private:
  void Run();
  std::optional<JournalRead> NextRead();
  void Post(JournalPageRead page);

  const std::function<void()> wake_loop_;
  std::vector<JournalRead> gathered_;  // Loop thread only
  JournalPages journals_;              // Reader's thread only, like the next one
  std::deque<JournalRead> late_;       // what could not be read yet
  std::chrono::steady_clock::time_point try_late_at_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<JournalRead> queue_;       // Guarded by mutex_
  std::vector<JournalPageRead> pages_;  // Guarded by mutex_
  bool stopping_ = false;               // Guarded by mutex_
  std::thread thread_;
};

}  // namespace sprockets
