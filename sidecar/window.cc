#include "sidecar/window.h"

#include "shared/result.h"

namespace sprockets {

Window::Entry* Window::Find(const EventIdentity& identity) {
  const auto [begin, end] = entries_.equal_range(identity.who);
  for (auto it = begin; it != end; ++it) {
    if (it->second.identity.what == identity.what) return &it->second;
  }
  return nullptr;
}

bool Window::HasOtherPayload(const EventIdentity& identity) const {
  const auto [begin, end] = entries_.equal_range(identity.who);
  for (auto it = begin; it != end; ++it) {
    if (!(it->second.identity.what == identity.what)) return true;
  }
  return false;
}

Window::Entry* Window::Insert(const EventIdentity& identity) {
  Entry* entry = &entries_.emplace(identity.who, Entry{})->second;
  entry->identity = identity;
  return entry;
}

Window::Entry* Window::AddPending(const EventIdentity& identity) {
  return Insert(identity);
}

void Window::SetLanded(Entry* entry, StreamId id) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entry->state = State::kLanded;
  entry->id = id;
  LinkNewest(entry);
}

void Window::SetSpilled(Entry* entry, int64_t ticket) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entry->state = State::kSpilled;
  entry->ticket = ticket;
  LinkNewest(entry);
}

void Window::SetUnknown(Entry* entry, StreamId anchor) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entry->state = State::kUnknown;
  entry->id = anchor;
}

void Window::SetPendingAgain(Entry* entry) {
  SPROCKETS_ASSERT(entry->state == State::kUnknown);
  entry->state = State::kPending;
  entry->was_unknown = true;
}

void Window::Erase(Entry* entry) {
  if (entry->state == State::kLanded || entry->state == State::kSpilled) Unlink(entry);
  const auto [begin, end] = entries_.equal_range(entry->identity.who);
  for (auto it = begin; it != end; ++it) {
    if (&it->second != entry) continue;
    entries_.erase(it);
    return;
  }
}

Window::Entry* Window::AddOlder(const EventIdentity& identity, State state) {
  Entry* entry = Insert(identity);
  entry->state = state;
  entry->newer = oldest_;
  (oldest_ ? oldest_->older : newest_) = entry;
  oldest_ = entry;
  ++settled_;
  return entry;
}

bool Window::AddOlderSpilled(const EventIdentity& identity, int64_t ticket) {
  if (settled_ >= capacity_) return false;
  if (Find(identity) == nullptr) AddOlder(identity, State::kSpilled)->ticket = ticket;
  return true;
}

bool Window::AddOlderLanded(const EventIdentity& identity, StreamId id) {
  Entry* known = Find(identity);
  if (known != nullptr && known->state == State::kPending) {
    known->landed_in_tail = true;
    known->id = id;
    return true;
  }
  if (settled_ >= capacity_) return false;
  if (known == nullptr) AddOlder(identity, State::kLanded)->id = id;
  return true;
}

void Window::AddUnknown(const EventIdentity& identity, StreamId anchor) {
  Entry* known = Find(identity);
  if (known != nullptr) return;
  Entry* entry = Insert(identity);
  entry->state = State::kUnknown;
  entry->id = anchor;
}

void Window::LinkNewest(Entry* entry) {
  entry->older = newest_;
  entry->newer = nullptr;
  (newest_ ? newest_->newer : oldest_) = entry;
  newest_ = entry;
  ++settled_;
  EvictBeyondCapacity();
}

void Window::Unlink(Entry* entry) {
  (entry->older ? entry->older->newer : oldest_) = entry->newer;
  (entry->newer ? entry->newer->older : newest_) = entry->older;
  --settled_;
}

void Window::EvictBeyondCapacity() {
  while (settled_ > capacity_) Erase(oldest_);
}

}  // namespace sprockets
