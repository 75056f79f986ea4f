#include "sidecar/disk/journal_reader.h"

#include <algorithm>
#include <chrono>
#include <pthread.h>
#include <utility>

#include "shared/base/result.h"

namespace sprockets {

namespace {

using std::chrono::milliseconds;

constexpr size_t kMostPages = 8;        // that wait to be collected: each may be a MiB
constexpr milliseconds kTryAgain{200};  // each of those that could not be read
constexpr milliseconds kKeepOpen{1'000};

}  // namespace

JournalReader::JournalReader(const SpillFolder& folder, std::function<void()> wake_loop)
    : wake_loop_(std::move(wake_loop)), journals_(folder), thread_([this] { Run(); }) {}

JournalReader::~JournalReader() {
  SPROCKETS_ASSERT(!thread_.joinable());
}

void JournalReader::Submit() {
  if (gathered_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    for (JournalRead& read : gathered_) {
      const auto earlier = std::find_if(queue_.begin(), queue_.end(),
                                        [&](const JournalRead& other) { return other.stream == read.stream; });
      if (earlier == queue_.end()) {
        queue_.push_back(std::move(read));
      } else {
        *earlier = std::move(read);
      }
    }
  }
  gathered_.clear();
  work_.notify_one();
}

std::vector<JournalPageRead> JournalReader::Collect() {
  std::vector<JournalPageRead> pages;
  {
    const std::lock_guard lock(mutex_);
    pages.swap(pages_);
  }
  if (!pages.empty()) work_.notify_one();
  return pages;
}

void JournalReader::Join() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  thread_.join();
}

void JournalReader::Run() {
  pthread_setname_np(pthread_self(), "journal");
  while (std::optional<JournalRead> read = NextRead()) {
    std::optional<JournalPage> page = journals_.Read(*read);
    if (page) {
      Post({std::move(read->stream), std::move(*page)});
    } else {
      if (late_.empty()) try_late_at_ = std::chrono::steady_clock::now() + kTryAgain;
      late_.push_back(std::move(*read));
    }
  }
  journals_.CloseFiles();
}

/// Waits for one. Nothing: it is time to stop.
std::optional<JournalRead> JournalReader::NextRead() {
  const auto take = [](std::deque<JournalRead>& from) {
    JournalRead read = std::move(from.front());
    from.pop_front();
    return read;
  };
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool has_room = pages_.size() < kMostPages;
    if (stopping_) return std::nullopt;
    if (has_room && !late_.empty() && std::chrono::steady_clock::now() >= try_late_at_) {
      try_late_at_ = std::chrono::steady_clock::now() + kTryAgain / static_cast<int>(late_.size());
      return take(late_);
    }
    if (has_room && !queue_.empty()) {
      JournalRead read = take(queue_);
      std::erase_if(late_, [&](const JournalRead& other) { return other.stream == read.stream; });
      return read;
    }
    if (!late_.empty() && has_room) {
      work_.wait_until(lock, try_late_at_);
    } else if (!journals_.has_open_files()) {
      work_.wait(lock);
    } else if (work_.wait_for(lock, kKeepOpen) == std::cv_status::timeout) {
      journals_.CloseFiles();
    }
  }
}

void JournalReader::Post(JournalPageRead page) {
  {
    const std::lock_guard lock(mutex_);
    pages_.push_back(std::move(page));
  }
  wake_loop_();
}

}  // namespace sprockets
