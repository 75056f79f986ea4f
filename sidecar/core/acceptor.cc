#include "sidecar/core/acceptor.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>

#include "shared/base/result.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr int64_t kGroupMs = 10;  // rows of one millisecond fly together, so a millisecond is kept for a while
constexpr std::string_view kNoIdLeft = "the stream has no id left";
constexpr std::string_view kWaitsForTail =
    "the mode was changed lately: the end of the stream must be read once, and Redis cannot be asked";
constexpr std::string_view kTooManyWait = "too many events wait until what earlier lives have stored is read";
constexpr std::string_view kWaitsForDrain =
    "an earlier copy may be stored by --ack redis: run sprockets-replayer drain, then restart the sidecar";

std::string ErrorLine(std::string_view text) {
  std::string reply;
  AppendError(reply, text);
  return reply;
}

}  // namespace

Acceptor::Acceptor(AcceptorOptions options, IdentityHasher hasher, Forwarder* forwarder, SpillSink* journal,
                   TailSource* tails)
    : options_(std::move(options)),
      intake_(options_),
      hasher_(std::move(hasher)),
      forwarder_(forwarder),
      journal_(journal),
      tails_(tails),
      window_(options_.dedupe_window),
      tail_window_(hasher_, options_.event_id_field, options_.max_inflight_bytes, &window_) {}

Acceptor::~Acceptor() = default;

void Acceptor::Accept(ReplyTo to, std::span<const std::string_view> args, std::string_view body, WallTime received,
                      LoopTime now) {
  std::string why = intake_.Look(args, body);
  const EventView& view = intake_.view();
  if (why.empty() && view.stream == kGuardKey) why = "this key is the sidecar's own";
  const bool admitted =
      why.empty() && (forwarder_->IsInUse(view.stream) || intake_.Admits(view.stream, forwarder_->streams_in_use()));
  if (!admitted) {
    ++counters_.invalid;
    return AnswerInvalid(to, why.empty() ? Intake::kNotAdmitted : std::string_view(why));
  }
  ++counters_.accepted;
  const bool has_clients_id = view.has_event_id();
  const EventIdentity identity = has_clients_id ? hasher_.Of(view) : EventIdentity();
  Event event = intake_.Wrap(to, args, body);
  event->received = received;
  const EventIdentity* const clients = has_clients_id ? &identity : nullptr;
  if (MustWait(view.stream, clients))
    return Hold(
        {std::move(event), std::string(view.stream), has_clients_id ? std::optional(identity) : std::nullopt, now});
  Take(std::move(event), clients, now);
}

void Acceptor::Take(Event event, const EventIdentity* clients, LoopTime now) {
  if (clients == nullptr || !SettledByWindow(event, *clients)) Journal(std::move(event), now);
}

// What a client sends behind an event that waits does not overtake it.
bool Acceptor::MustWait(std::string_view stream, const EventIdentity* clients) {
  if (held_.empty() && (clients == nullptr || WindowKnowsAll(stream))) return false;
  if (clients != nullptr && window_.Find(*clients) != nullptr) return false;
  const auto is_of_stream = [&](const Held& held) { return held.stream == stream; };
  return (clients != nullptr && !WindowKnowsAll(stream)) || std::any_of(held_.begin(), held_.end(), is_of_stream);
}

bool Acceptor::WindowKnowsAll(std::string_view stream) const {
  if (folder_unread_) return false;
  if (tails_ == nullptr || window_.capacity() == 0) return true;
  const auto tail = tail_of_.find(stream);
  return tail != tail_of_.end() && tail->second.read;
}

void Acceptor::Hold(Held held) {
  if (!HasRoomFor(held)) return Refuse(std::move(held.event), kTooManyWait);
  const bool is_asked = tails_ == nullptr || !held.identity || tail_of_.contains(held.stream);
  if (!is_asked && !tails_->ReadTail(held.stream, std::nullopt, TailWindow::kFirstPage))
    return Refuse(std::move(held.event), kWaitsForTail);
  if (!is_asked) tail_of_[held.stream];
  held_.push_back(std::move(held));
}

bool Acceptor::HasRoomFor(const Held& held) const {
  if (held_.size() >= kMostHeld) return false;
  const auto add = [](int64_t bytes, const Held& each) {
    return bytes + static_cast<int64_t>(each.event->wire.size());
  };
  return held_.empty() || std::accumulate(held_.begin(), held_.end(), add(0, held), add) <= options_.max_queue_bytes;
}

void Acceptor::OnTail(const std::string& stream, const std::vector<TailEntry>& entries, bool more) {
  Tail& tail = tail_of_[stream];
  if (const auto count = tail_window_.Take(stream, entries, more, &tail.progress)) {
    if (!tails_->ReadTail(stream, entries.back().id, *count)) OnTailsAway();
    return;
  }
  tail.read = true;
  TakeHeld();
}

void Acceptor::OnTailRefused(const std::string& stream) {
  tail_of_[stream].read = true;
  TakeHeld();
}

void Acceptor::ForgetTails() {
  window_.ForgetTails([this](StreamId id) { return forwarder_->IsOurs(id); });
  std::erase_if(tail_of_, [](const auto& tail) { return tail.second.read; });
}

void Acceptor::OnTailsAway() {
  std::erase_if(tail_of_, [](const auto& tail) { return !tail.second.read; });
  if (folder_unread_) return;  // they wait for that, too, and ask again
  std::vector<Held> refused;
  const auto first = std::stable_partition(
      held_.begin(), held_.end(), [&](const Held& held) { return !held.identity || WindowKnowsAll(held.stream); });
  refused.assign(std::make_move_iterator(first), std::make_move_iterator(held_.end()));
  held_.erase(first, held_.end());
  for (Held& held : refused) Refuse(std::move(held.event), kWaitsForTail);
  TakeHeld();
}

void Acceptor::RejectTooLarge(ReplyTo to) {
  ++counters_.invalid;
  AnswerInvalid(to, intake_.TooLarge());
}

// False: the event is new, and entered as pending.
bool Acceptor::SettledByWindow(Event& event, const EventIdentity& identity) {
  Window::Entry* entry = window_.Find(identity);
  if (entry == nullptr) {
    if (window_.HasOtherPayload(identity)) ++counters_.other_payload;
    if (!blocked_) event->entry = window_.AddPending(identity);
    return false;
  }
  ++counters_.deduplicated;
  if (!AnswerCopy(*entry, event->reply_to)) {
    ++counters_.unknown;
    SPROCKETS_ASSERT(ParseWholeCommand(event->wire, &args_) && ParseXadd(args_, options_.event_id_field, &view_).ok());
    event->reply_to.Reply(
        ErrorLine("UNKNOWN " + Escape(std::string(view_.event_id())) + " " + std::string(kWaitsForDrain)));
  }
  intake_.Recycle(std::move(event));
  return true;
}

uint64_t Acceptor::GroupMs(WallTime received) {
  if (received.ms < group_ms_ || received.ms >= group_ms_ + kGroupMs) group_ms_ = received.ms;
  return static_cast<uint64_t>(group_ms_);
}

void Acceptor::Journal(Event event, LoopTime now) {
  if (blocked_) return Refuse(std::move(event), "the journal cannot be written: " + blocked_why_);
  SPROCKETS_ASSERT(ParseWholeCommand(event->wire, &args_) && ParseXadd(args_, options_.event_id_field, &view_).ok());
  AheadStream& stream = forwarder_->AddStream(std::string(view_.stream), kStreamBegin);
  const auto id = forwarder_->NextId(stream, GroupMs(event->received));
  if (!id) {
    if (event->entry != nullptr) window_.Erase(event->entry);
    ++counters_.invalid;
    return AnswerInvalid(event->reply_to, kNoIdLeft);
  }
  ++stream.accepted;
  event->number = next_number_++;
  pending_.emplace_hint(pending_.end(), event->number,
                        Pending{event->reply_to, event->entry, now, std::string(view_.event_id()), false});
  queue_bytes_ += static_cast<int64_t>(event->wire.size());
  SpillRequest request;
  request.event = std::move(event);
  request.id = id;
  journal_->Spill(std::move(request));
}

void Acceptor::Refuse(Event event, std::string_view why) {
  ++counters_.refused;
  AnswerAll(*event, /*asker_too=*/true, ErrorLine("RETRY " + Escape(why)));
  if (event->entry != nullptr) window_.Erase(event->entry);
  intake_.Recycle(std::move(event));
}

void Acceptor::AnswerAll(const PendingEvent& event, bool asker_too, std::string_view resp) {
  if (asker_too) event.reply_to.Reply(resp);
  AnswerWaiters(event.entry, resp);
}

void Acceptor::OnOutcome(SpillOutcome outcome) {
  if (outcome.request.origin != 0) return OnMoved(std::move(outcome));
  Event event = std::move(outcome.request.event);
  queue_bytes_ -= static_cast<int64_t>(event->wire.size());
  const auto pending = pending_.find(event->number);
  SPROCKETS_ASSERT(pending != pending_.end());
  const bool asker_too = !pending->second.answered;
  if (!asker_too) --answered_early_;
  const int64_t asked_us = pending->second.to.asked_us;
  const std::string event_id = std::move(pending->second.event_id);
  pending_.erase(pending);
  if (outcome.kind != SpillOutcome::Kind::kSpilled) {
    // After a COMMIT that failed the row may be there at the next start: whoever sends the event again then is told its
    // id. Everything else is certainly not stored.
    const bool unknown = outcome.kind == SpillOutcome::Kind::kUnknown;
    ++(unknown ? counters_.unknown : counters_.refused);
    AnswerAll(*event, asker_too,
              ErrorLine((unknown ? "UNKNOWN " + Escape(event_id) + " " : "RETRY ") + Escape(outcome.why)));
    if (event->entry != nullptr) window_.Erase(event->entry);
    return intake_.Recycle(std::move(event));
  }
  ++counters_.journaled;
  const StreamId id = *outcome.request.id;
  AnswerAll(*event, asker_too, EntryIdReply(id));
  if (event->entry != nullptr) window_.SetLanded(event->entry, id);
  SPROCKETS_ASSERT(ParseWholeCommand(event->wire, &args_) && ParseXadd(args_, options_.event_id_field, &view_).ok());
  if (asker_too) latency_.Answered(asked_us);
  AheadStream& stream = *forwarder_->FindStream(view_.stream);
  ++stream.journaled;
  forwarder_->OnCommitted(stream, JournalRow::Of(outcome.ticket, outcome.ticket, id, view_));
  intake_.Recycle(std::move(event));
}

void Acceptor::Stop() {
  for (Held& held : std::exchange(held_, {})) Refuse(std::move(held.event), "the sidecar stops");
}

// Later copies are told the new id.
void Acceptor::OnMoved(SpillOutcome outcome) {
  if (outcome.kind != SpillOutcome::Kind::kSpilled) return;  // the sidecar stops: the next life decides anew
  const SpillRequest& moved = outcome.request;
  SPROCKETS_ASSERT(ParseWholeCommand(moved.event->wire, &args_) &&
                   ParseXadd(args_, options_.event_id_field, &view_).ok());
  Window::Entry* entry = window_.Find(hasher_.Of(view_));
  if (entry != nullptr && entry->state == Window::State::kLanded) entry->id = *moved.id;
  std::vector<JournalRow> rows;
  rows.push_back(JournalRow::Of(outcome.ticket, moved.origin, *moved.id, view_));
  forwarder_->OnMoved(*forwarder_->FindStream(view_.stream), std::move(rows));
}

void Acceptor::OnBlocked(bool blocked, std::string_view why) {
  blocked_ = blocked;
  blocked_why_ = why;
  forwarder_->OnJournalBlocked(blocked);
}

void Acceptor::CheckPatience(LoopTime now) {
  const auto waits_too_long = [&](LoopTime since) { return now.ms - since.ms >= options_.patience_ms; };
  const auto first =
      std::find_if(held_.begin(), held_.end(), [&](const Held& held) { return !waits_too_long(held.since); });
  std::vector<Held> refused(std::make_move_iterator(held_.begin()), std::make_move_iterator(first));
  held_.erase(held_.begin(), first);
  for (Held& held : refused) Refuse(std::move(held.event), "what earlier lives have stored is still being read");
  if (!blocked_) return;
  // The rows are committed as soon as the disk allows, and a retry with the event id is then told the entry's id. A
  // retry that comes meanwhile waits no longer than until the next look.
  for (auto& [number, pending] : pending_) {
    if (!waits_too_long(pending.since)) break;
    const std::string unknown = ErrorLine("UNKNOWN " + Escape(pending.event_id) + " " + Escape(blocked_why_));
    AnswerWaiters(pending.entry, unknown);
    if (std::exchange(pending.answered, true)) continue;
    ++answered_early_;
    ++counters_.unknown;
    pending.to.Reply(unknown);
  }
}

void Acceptor::OnEarlierEvents(const EarlierEvents& events, bool complete) {
  for (const Window::Restored& event : events.spilled) window_.Restore(event);
  for (const EarlierEvents::Unknown& event : events.unknown) (void)window_.AddUnknown(event.identity, event.anchor);
  folder_unread_ = !complete;
  TakeHeld();
}

// Those that need not wait any more, in the order in which they came.
void Acceptor::TakeHeld() {
  if (folder_unread_) return;
  for (Held& held : std::exchange(held_, {})) {
    const EventIdentity* const clients = held.identity ? &*held.identity : nullptr;
    if (MustWait(held.stream, clients)) {
      Hold(std::move(held));
    } else if (!forwarder_->IsInUse(held.stream) && !intake_.Admits(held.stream, forwarder_->streams_in_use())) {
      // Others were taken while it waited.
      ++counters_.invalid;
      AnswerInvalid(held.event->reply_to, Intake::kNotAdmitted);
      intake_.Recycle(std::move(held.event));
    } else {
      Take(std::move(held.event), clients, held.since);
    }
  }
}

}  // namespace sprockets
