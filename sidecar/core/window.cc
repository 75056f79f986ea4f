#include "sidecar/core/window.h"

#include <utility>

#include "shared/base/result.h"

namespace sprockets {

Window::Entry* Window::Find(const EventIdentity& identity) {
  return entries_.Find(identity.who, [&](const Entry& entry) { return entry.identity.what == identity.what; });
}

bool Window::HasOtherPayload(const EventIdentity& identity) const {
  const auto is_other = [&](const Entry& entry) { return !(entry.identity.what == identity.what); };
  return entries_.Find(identity.who, is_other) != nullptr;
}

Window::Entry* Window::AddPending(const EventIdentity& identity) {
  return entries_.Insert(identity);
}

void Window::SetLanded(Entry* entry, StreamId id) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entry->state = State::kLanded;
  entry->id = id;
  settled_.Link(entry);
  EvictBeyondCapacity();
}

void Window::SetSpilled(Entry* entry, int64_t ticket) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entry->state = State::kSpilled;
  entry->ticket = ticket;
  settled_.Link(entry);
  EvictBeyondCapacity();
}

bool Window::SetUnknown(Entry* entry, StreamId anchor) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entry->state = State::kUnknown;
  entry->id = anchor;
  unknown_.Link(entry);
  return ForgetUnknownBeyondLimit();
}

void Window::SetPendingAgain(Entry* entry) {
  SPROCKETS_ASSERT(entry->state == State::kUnknown);
  unknown_.Unlink(entry);
  entry->state = State::kPending;
  entry->was_unknown = true;
}

void Window::Erase(Entry* entry) {
  SPROCKETS_ASSERT(entry->state == State::kPending);
  entries_.Erase(entry);
}

void Window::Restore(const Restored& restored) {
  if (Entry* known = Find(restored.identity)) {
    if (known->state != State::kPending || restored.id == kStreamBegin) return;
    known->landed_in_tail = true;
    known->id = restored.id;
    return;
  }
  if (capacity_ == 0) return;
  Entry* entry = entries_.Insert(restored.identity);
  entry->state = restored.id == kStreamBegin ? State::kSpilled : State::kLanded;
  entry->id = restored.id;
  entry->ticket = restored.ticket;
  entry->from_tail = restored.from_tail;
  Age age{restored.clients_id, restored.when_ms, entry};
  if (restored.maybe_unanswered) {
    unanswered_.push(age);
    if (unanswered_.size() <= most_unknown_) return;
    age = unanswered_.top();  // it takes its chance among the others
    unanswered_.pop();
  }
  restored_.push(age);
  EvictBeyondCapacity();
}

void Window::ForgetTails(const std::function<bool(StreamId)>& keeps) {
  ForgetTailsIn(&restored_, keeps);
  ForgetTailsIn(&unanswered_, keeps);
}

void Window::ForgetTailsIn(OldestFirst* queue, const std::function<bool(StreamId)>& keeps) {
  OldestFirst kept;
  for (; !queue->empty(); queue->pop()) {
    Entry* const entry = queue->top().entry;
    if (entry->from_tail && !keeps(entry->id)) {
      entries_.Erase(entry);
    } else {
      kept.push(queue->top());
    }
  }
  *queue = std::move(kept);
}

bool Window::WouldKeep(int64_t when_ms) const {
  if (restored_.size() + settled_.size < capacity_) return true;
  return !restored_.empty() && restored_.top() < Age{true, when_ms, nullptr};
}

bool Window::AddUnknown(const EventIdentity& identity, StreamId anchor) {
  if (Find(identity) != nullptr) return true;
  return SetUnknown(AddPending(identity), anchor);
}

bool Window::ForgetUnknownBeyondLimit() {
  if (unknown_.size <= most_unknown_) return true;
  Entry* oldest = unknown_.oldest;
  unknown_.Unlink(oldest);
  entries_.Erase(oldest);
  return false;
}

void Window::EvictBeyondCapacity() {
  while (settled_.size + restored_.size() > capacity_) {
    Entry* oldest = restored_.empty() ? settled_.oldest : restored_.top().entry;
    if (restored_.empty()) {
      settled_.Unlink(oldest);
    } else {
      restored_.pop();
    }
    entries_.Erase(oldest);
  }
  PrefetchNextEviction();
}

void Window::PrefetchNextEviction() const {
  if (settled_.oldest == nullptr || !restored_.empty()) return;
  entries_.Prefetch(settled_.oldest->identity.who);
  __builtin_prefetch(settled_.oldest->newer);
}

void Window::List::Link(Entry* entry) {
  entry->older = newest;
  entry->newer = nullptr;
  (newest ? newest->newer : oldest) = entry;
  newest = entry;
  ++size;
}

void Window::List::Unlink(Entry* entry) {
  (entry->older ? entry->older->newer : oldest) = entry->newer;
  (entry->newer ? entry->newer->older : newest) = entry->older;
  --size;
}

}  // namespace sprockets
