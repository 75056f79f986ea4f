#include "sidecar/core/window_index.h"

#include <utility>

namespace sprockets {

namespace {

constexpr size_t kFewestBuckets = 1024;
// For each entry: a look into an empty bucket touches no other entry's memory, and most events are new.
constexpr size_t kBucketsPerEntry = 4;

}  // namespace

WindowIndex::WindowIndex() : buckets_(kFewestBuckets) {}

WindowEntry* WindowIndex::Insert(const EventIdentity& identity) {
  if (kBucketsPerEntry * size_ >= buckets_.size()) Grow();
  WindowEntry* entry = nullptr;
  if (free_.empty()) {
    entry = &pool_.emplace_back();
  } else {
    entry = free_.back();
    free_.pop_back();
    *entry = WindowEntry();
  }
  entry->identity = identity;
  Link(entry);
  ++size_;
  return entry;
}

void WindowIndex::Link(WindowEntry* entry) {
  WindowEntry*& bucket = buckets_[BucketOf(entry->identity.who)];
  entry->next_in_bucket = std::exchange(bucket, entry);
}

void WindowIndex::Erase(WindowEntry* entry) {
  WindowEntry** link = &buckets_[BucketOf(entry->identity.who)];
  while (*link != entry) link = &(*link)->next_in_bucket;
  *link = entry->next_in_bucket;
  entry->waiters.reset();
  free_.push_back(entry);
  --size_;
}

void WindowIndex::Grow() {
  const std::vector<WindowEntry*> before =
      std::exchange(buckets_, std::vector<WindowEntry*>(2 * buckets_.size(), nullptr));
  for (WindowEntry* first : before) {
    // Whoever stood first in a chain stands first again, so that the newest is still found first.
    WindowEntry* oldest_first = nullptr;
    while (first != nullptr) {
      WindowEntry* const next = std::exchange(first->next_in_bucket, oldest_first);
      oldest_first = std::exchange(first, next);
    }
    while (oldest_first != nullptr) {
      WindowEntry* const next = oldest_first->next_in_bucket;
      Link(oldest_first);
      oldest_first = next;
    }
  }
}

}  // namespace sprockets
