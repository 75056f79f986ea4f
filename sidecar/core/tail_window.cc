#include "sidecar/core/tail_window.h"

#include <algorithm>
#include <utility>

#include "sidecar/core/made_id.h"

namespace sprockets {

namespace {

constexpr int64_t kPageBytes = 256 * 1024;  // what the later pages aim at
constexpr int64_t kMostPage = 1000;         // entries

}  // namespace

TailWindow::TailWindow(IdentityHasher hasher, std::string event_id_field, int64_t max_inflight_bytes, Window* window)
    : hasher_(std::move(hasher)),
      event_id_field_(std::move(event_id_field)),
      max_inflight_bytes_(max_inflight_bytes),
      window_(window) {}

// As many entries as the window has places may still find one, unless all of it is newer; and what an earlier life had
// in flight when it was killed is looked at in any case: it was bounded in bytes. That life need not be the last one: a
// client may come back to it over any number of restarts.
std::optional<int64_t> TailWindow::Take(std::string_view stream, const std::vector<TailEntry>& entries, bool more,
                                        Progress* progress) {
  const int64_t read_before = progress->bytes;
  for (const TailEntry& entry : entries) {
    size_t id_at = EventView::kNoEventId;
    for (size_t i = 0; i + 1 < entry.fields.size(); i += 2) {
      progress->bytes += static_cast<int64_t>(entry.fields[i].size() + entry.fields[i + 1].size());
      if (id_at == EventView::kNoEventId && entry.fields[i] == event_id_field_) id_at = i + 1;
    }
    ++progress->entries;
    if (id_at == EventView::kNoEventId) continue;
    Window::Restored restored{hasher_.Of(stream, entry.fields, id_at), entry.id};
    restored.when_ms = static_cast<int64_t>(entry.id.ms);
    restored.clients_id = !IsMadeId(entry.fields[id_at]);
    restored.from_tail = true;
    restored.maybe_unanswered = MaybeUnanswered(*progress);
    window_->Restore(restored);
  }
  if (entries.empty() || !more) return std::nullopt;
  const bool may_find_a_place =
      progress->entries < window_->capacity() && window_->WouldKeep(static_cast<int64_t>(entries.back().id.ms));
  if (!may_find_a_place && !MaybeUnanswered(*progress)) return std::nullopt;
  const int64_t entry_bytes = (progress->bytes - read_before) / static_cast<int64_t>(entries.size()) + 1;
  return std::clamp<int64_t>(kPageBytes / entry_bytes, 1, kMostPage);
}

}  // namespace sprockets
