// The rules about connections and tickets. The thread that holds the folder's lock.
#include "shared/spill/state_file.h"

#include <algorithm>
#include <utility>

namespace sprockets {
namespace {

constexpr int64_t kTicketBlock = 100'000;

}  // namespace

StateStore::Content StateStore::Content::First(const FoundInFolder& found) {
  return {.connections = KnownConnections({}, found.folder_has_files, std::nullopt),
          .nothing_in_flight = !found.folder_has_files,
          .reserved_ticket = found.highest_ticket,
          .redis_first_until_ms = found.folder_has_files ? StateFile::kStillGoingOn : 0};
}

StateFile::StateFile(std::unique_ptr<StateStore> store, int64_t highest_ticket)
    : store_(std::move(store)),
      nothing_was_in_flight_(store_->content().nothing_in_flight),
      next_ticket_(std::max(store_->content().reserved_ticket, highest_ticket) + 1) {}

Result<StateFile> StateFile::Open(const SpillFolder& folder, const Found& found) {
  ASSIGN_OR_RETURN(std::unique_ptr<StateStore> store, folder.OpenState(found));
  return StateFile(std::move(store), found.highest_ticket);
}

Result<StateFile> StateFile::OpenExisting(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(std::unique_ptr<StateStore> store, folder.OpenExistingState());
  return StateFile(std::move(store), 0);
}

Status StateFile::Record(const ConnectionId& live, std::span<const ConnectionId> dead) {
  StateStore::Content next = store_->content();
  next.connections.Record(live, dead);
  next.nothing_in_flight = false;
  next.redis_first_until_ms = kStillGoingOn;
  RETURN_IF_ERROR(store_->Write(next).Prefixed("saving a connection's id"));
  recorded_ = true;
  return {};
}

Status StateFile::Strike(std::span<const ConnectionId> dead) {
  StateStore::Content next = store_->content();
  next.connections.Strike(dead);
  return store_->Write(next).Prefixed("removing connections");
}

Result<int64_t> StateFile::NextTicket() {
  if (next_ticket_ > store_->content().reserved_ticket) {
    StateStore::Content next = store_->content();
    next.reserved_ticket = next_ticket_ + kTicketBlock - 1;
    RETURN_IF_ERROR(store_->Write(next).Prefixed("reserving tickets"));
  }
  return next_ticket_++;
}

Status StateFile::NoteNothingInFlight() {
  StateStore::Content next = store_->content();
  if (next.nothing_in_flight || !(nothing_was_in_flight_ || recorded_)) return {};
  next.nothing_in_flight = true;
  return store_->Write(next).Prefixed("saving that nothing is in flight");
}

Status StateFile::AddTag(uint32_t tag) {
  if (std::find(tags().begin(), tags().end(), tag) != tags().end()) return {};
  StateStore::Content next = store_->content();
  next.tags.push_back(tag);
  return store_->Write(next).Prefixed("saving a tag of entry ids");
}

Status StateFile::NoteDiskFirst(int64_t now_ms) {
  if (redis_first_until_ms() != kStillGoingOn) return {};
  StateStore::Content next = store_->content();
  next.redis_first_until_ms = now_ms;
  return store_->Write(next).Prefixed("saving the change of the mode");
}

Status StateFile::NoteLanded(std::span<const LandedMark> marks) {
  if (marks.empty()) return {};
  return store_->WriteLanded(marks).Prefixed("saving what has landed");
}

Status StateFile::Close() {
  return store_->Close();
}

}  // namespace sprockets
