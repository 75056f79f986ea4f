#include "sidecar/core/router.h"

#include <algorithm>

#include "shared/base/text.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {

Router::Router(RouterOptions options, IdentityHasher hasher, RouterSinks sinks)
    : options_(std::move(options)),
      intake_(options_),
      hasher_(std::move(hasher)),
      sinks_(sinks),
      window_(options_.dedupe_window),
      tails_(hasher_, options_.event_id_field, options_.max_inflight_bytes, &window_),
      breaker_(options_.refusals_to_open) {}

Router::~Router() = default;

// ---- Acceptance

void Router::Accept(ReplyTo to, std::span<const std::string_view> args, std::string_view body, WallTime received,
                    LoopTime now) {
  const std::string why = intake_.Look(args, body);
  if (!why.empty()) return Invalid(to, why);
  const EventView& view = intake_.view();
  StreamState* stream = FindStream(view.stream);
  if (stream == nullptr) return Invalid(to, Intake::kNotAdmitted);
  ++counters_.accepted;
  EventIdentity identity;
  if (view.has_event_id()) {
    identity = hasher_.Of(view);
    window_.Prefetch(identity);
  }
  Event event = intake_.Wrap(to, args, body);
  ++stream->counters.accepted;
  event->stream = stream;
  event->received = received_last_ = received;
  if (view.has_event_id() && SettledByWindow(event, identity)) return;
  Route(std::move(event), now);
}

void Router::RejectTooLarge(ReplyTo to) {
  Invalid(to, intake_.TooLarge());
}

void Router::Invalid(ReplyTo to, std::string_view why) {
  ++counters_.invalid;
  AnswerInvalid(to, why);
}

// Null: the stream is not ours to take, or one too many.
StreamState* Router::FindStream(std::string_view name) {
  const auto found = streams_.find(name);
  if (found != streams_.end()) return found->second.get();
  if (!intake_.Admits(name, streams_.size())) return nullptr;
  auto state = std::make_unique<StreamState>();
  state->name = name;
  StreamState* stream = state.get();
  streams_.emplace(stream->name, std::move(state));
  if (first_streams_.size() < kNamedStreams) first_streams_.push_back(stream);
  return stream;
}

// The client gave an id: has this event been here before? Otherwise it is entered as pending. False: it is still to be
// routed.
bool Router::SettledByWindow(Event& event, const EventIdentity& identity) {
  Window::Entry* entry = window_.Find(identity);
  if (entry == nullptr) {
    if (window_.HasOtherPayload(identity)) ++counters_.other_payload;
    event->entry = window_.AddPending(identity);
    if (!folder_unread_ && !unknown_forgotten_) return false;
    Spill(std::move(event), MaybeRepeat(), /*was_sent=*/false);
    return true;
  }
  ++counters_.deduplicated;
  if (AnswerCopy(*entry, event->reply_to)) {
    intake_.Recycle(std::move(event));
    return true;
  }
  // It may be stored somewhere already, so it is never sent directly: the drain settles it.
  const Doubt doubt{entry->id, std::nullopt};
  window_.SetPendingAgain(entry);
  event->entry = entry;
  Spill(std::move(event), doubt, /*was_sent=*/false);
  return true;
}

// ---- Which way

bool Router::NeedsWindow(const PendingEvent& event) const {
  return event.entry != nullptr && window_.capacity() > 0 && !event.stream->window_filled;
}

void Router::Route(Event event, LoopTime now) {
  StreamState& stream = *event->stream;
  if (!connection_ || !breaker_.closed() || sending_stopped_) return SpillUnsent(std::move(event));
  if (stream.access != StreamState::Access::kOpen) {
    if (stream.access == StreamState::Access::kProbing || now < stream.probe_at) return SpillUnsent(std::move(event));
    stream.access = StreamState::Access::kProbing;
    event->is_probe = true;
  }
  const bool needs_window = NeedsWindow(*event);
  if (needs_window && !earlier_fenced_) {
    if (event->is_probe) stream.EndProbe();
    return SpillUnsent(std::move(event));
  }
  if (!stream.tail_known() || !stream.held.empty() || needs_window) return Hold(std::move(event));
  Send(std::move(event));
}

void Router::Hold(Event event) {
  StreamState& stream = *event->stream;
  const bool needs_window = NeedsWindow(*event);
  in_flight_bytes_ += static_cast<int64_t>(event->wire.size());
  ++held_;
  stream.held.push_back(std::move(event));
  if (stream.tail_asked()) return;
  stream.tail = StreamState::TailAsked{.reads_window = needs_window};
  sinks_.redis->ReadTail(stream, std::nullopt, needs_window ? TailWindow::kFirstPage : 1);
}

WallTime Router::OldestUnanswered(WallTime now) const {
  WallTime oldest = now;
  if (!in_flight_.empty()) oldest = std::min(oldest, in_flight_.front()->received);
  if (held_ > 0) {
    for (const auto& [name, stream] : streams_) {
      if (!stream->held.empty()) oldest = std::min(oldest, stream->held.front()->received);
    }
  }
  return spilling_ > 0 ? std::min(oldest, spill_progress_) : oldest;
}

void Router::Send(Event event) {
  in_flight_bytes_ += static_cast<int64_t>(event->wire.size());
  in_flight_.push_back(std::move(event));
  sinks_.redis->Send(*in_flight_.back());
}

Router::Event Router::TakeOldestInFlight() {
  SPROCKETS_ASSERT(!in_flight_.empty());
  Event event = in_flight_.pop_front();
  if (!in_flight_.empty()) __builtin_prefetch(in_flight_.front().get());  // its answer is next, and it has lain long
  in_flight_bytes_ -= static_cast<int64_t>(event->wire.size());
  return event;
}

// This try was not sent. But as long as the stream's tail is not known, an earlier life may have sent the event.
void Router::SpillUnsent(Event event) {
  std::optional<Doubt> doubt;
  if (NeedsWindow(*event)) doubt = MaybeRepeat();
  Spill(std::move(event), std::move(doubt), /*was_sent=*/false);
}

// This sidecar sent it, and does not know what became of it.
void Router::SpillSent(Event event, Doubt doubt) {
  Spill(std::move(event), std::move(doubt), /*was_sent=*/true);
}

// The event was not sent, but its client's id cannot be looked up now: it may be a second copy. Where the earlier life
// ended with nothing in flight, the first copy was answered, and what was trimmed since is forgotten, as it is on the
// direct way: so absence needs no proof.
Doubt Router::MaybeRepeat() const {
  Doubt doubt{kStreamBegin, std::nullopt};
  doubt.needs_proof = options_.earlier_life_in_flight || unknown_forgotten_;
  return doubt;
}

void Router::Spill(Event event, std::optional<Doubt> doubt, bool was_sent) {
  if (was_sent) ++counters_.in_doubt;
  event->is_probe = false;
  spill_queue_bytes_ += static_cast<int64_t>(event->wire.size());
  if (spilling_++ == 0) spill_progress_ = event->received;
  const StreamId tail = event->stream->last_known;
  sinks_.disk->Spill({std::move(event), std::move(doubt), was_sent, tail});
}

// ---- Redis

void Router::OnConnectionReady(ConnectionId connection, bool earlier_fenced) {
  SPROCKETS_ASSERT(!connection_ && in_flight_.empty());
  connection_ = std::move(connection);
  earlier_fenced_ = earlier_fenced_ || earlier_fenced;
  breaker_.OnProbePassed();
}

void Router::OnProbePassed() {
  breaker_.OnProbePassed();
}

void Router::OnConnectionLost() {
  if (!connection_) return;
  const ConnectionId lost = *std::move(connection_);
  connection_.reset();
  breaker_.OnConnectionLost();
  while (!in_flight_.empty()) {
    Event event = TakeOldestInFlight();
    const StreamId anchor = event->stream->last_seen;
    SpillSent(std::move(event), Doubt{anchor, lost});
  }
  for (auto& [name, stream] : streams_) {
    stream->tail = StreamState::TailUnknown{};
    stream->last_seen = kStreamBegin;
    stream->EndProbe();
    ReleaseHeld(*stream, {});
  }
}

void Router::StopSending() {
  sending_stopped_ = true;
  for (auto& [name, stream] : streams_) ReleaseHeld(*stream, {});
}

void Router::OnLanded(std::string_view id_text) {
  const std::optional<StreamId> id = ParseStreamId(id_text);
  if (!id) return OnError("the answer to an XADD is not an entry id", {});
  Event event = TakeOldestInFlight();
  StreamState& stream = *event->stream;
  stream.last_seen = stream.last_known = *id;
  breaker_.OnLanded();
  ++counters_.landed;
  ++stream.counters.landed;
  if (event->is_probe) {
    AcceptStreamAgain(stream);
    stream.backoff.Reset();
    sinks_.notices->StreamAcceptedAgain(stream);
  }
  AnswerLanded(*event, *id);
  to_redis_.Answered(event->reply_to.asked_us);
  intake_.Recycle(std::move(event));
}

void Router::OnNil() {
  Event event = TakeOldestInFlight();
  if (event->is_probe) AcceptStreamAgain(*event->stream);
  std::string reply;
  AppendNull(reply, 2);
  AnswerNotStored(*event, reply);
  intake_.Recycle(std::move(event));
}

void Router::OnError(std::string_view error, LoopTime now) {
  Event event = TakeOldestInFlight();
  StreamState& stream = *event->stream;
  if (event->is_probe) stream.EndProbe();
  last_refusal_ = error;
  switch (ClassifyRedisError(error)) {
    case RefusalScope::kStream:
      RefuseStream(stream, error, now);
      SpillUnsent(std::move(event));
      break;
    case RefusalScope::kServer:
      SpillUnsent(std::move(event));
      if (breaker_.OnRefused()) sinks_.redis->ProbeRedis(last_refusal_);
      break;
    case RefusalScope::kUnknown:
      // Not Redis's words for "not applied". The flight is over, so no connection has to be fenced for it.
      SpillSent(std::move(event), Doubt{stream.last_seen, std::nullopt});
      if (breaker_.OnRefused()) sinks_.redis->ProbeRedis(last_refusal_);
      break;
  }
}

void Router::RefuseStream(StreamState& stream, std::string_view why, LoopTime now) {
  const bool was_open = stream.access == StreamState::Access::kOpen;
  if (was_open) sinks_.notices->StreamRefused(stream, why);
  if (was_open || now >= stream.probe_at) stream.probe_at = {now.ms + stream.backoff.NextMs(0)};
  if (was_open) {
    stream.access = StreamState::Access::kRefused;
    refused_streams_.push_back(&stream);
  }
  stream.refusal = why;
}

void Router::AcceptStreamAgain(StreamState& stream) {
  stream.access = StreamState::Access::kOpen;
  stream.refusal.clear();
  std::erase(refused_streams_, &stream);
}

// ---- The tail of a stream: the anchor of what will be sent, and what an earlier life has sent

void Router::OnTail(StreamState& stream, const std::vector<TailEntry>& entries, bool more, LoopTime now) {
  SPROCKETS_ASSERT(stream.tail_asked());
  auto& asked = std::get<StreamState::TailAsked>(stream.tail);
  if (std::exchange(asked.first_page, false)) {
    stream.last_seen = stream.last_known = entries.empty() ? kStreamBegin : entries.front().id;
  }
  if (asked.reads_window) {
    if (const auto count = tails_.Take(stream.name, entries, more, &asked.progress))
      return sinks_.redis->ReadTail(stream, entries.back().id, *count);
    stream.window_filled = true;
  }
  stream.tail = StreamState::TailKnown{};
  ReleaseHeld(stream, now);
}

void Router::OnTailError(StreamState& stream, std::string_view error, LoopTime now) {
  if (IsWrongType(error)) {
    stream.tail = StreamState::TailUnknown{};
    stream.EndProbe();
    RefuseStream(stream, error, now);
  } else if (ClassifyRedisError(error) == RefusalScope::kServer) {
    stream.tail = StreamState::TailUnknown{};
    stream.EndProbe();
    breaker_.OnConnectionLost();
    sinks_.redis->ProbeRedis(last_refusal_);
  } else {
    // We may not read: anchors begin at 0-0, and what an earlier life sent is not recognised. The link has said so in
    // the log.
    stream.tail = StreamState::TailKnown{};
    stream.window_filled = true;
  }
  ReleaseHeld(stream, now);
}

void Router::ReleaseHeld(StreamState& stream, LoopTime now) {
  std::deque<Event> held = std::exchange(stream.held, {});
  for (Event& event : held) {
    --held_;
    in_flight_bytes_ -= static_cast<int64_t>(event->wire.size());
    if (std::exchange(event->is_probe, false)) stream.EndProbe();  // the way it goes from here says whether it is one
    if (event->entry != nullptr && event->entry->landed_in_tail) {
      ++counters_.settled;
      AnswerLanded(*event, event->entry->id);
      intake_.Recycle(std::move(event));
    } else {
      Route(std::move(event), now);
    }
  }
}

// ---- The disk

void Router::OnSpillOutcome(SpillOutcome outcome) {
  Event event = std::move(outcome.request.event);
  --spilling_;
  spill_progress_ = received_last_;
  spill_queue_bytes_ -= static_cast<int64_t>(event->wire.size());
  switch (outcome.kind) {
    case SpillOutcome::Kind::kSpilled:
      ++counters_.spilled;
      ++event->stream->counters.spilled;
      Answer(*event, SpilledReply(outcome.ticket));
      to_disk_.Answered(event->reply_to.asked_us);
      if (event->entry != nullptr) window_.SetSpilled(event->entry, outcome.ticket);
      break;
    case SpillOutcome::Kind::kRefused:
      if (outcome.request.was_sent || (event->entry != nullptr && event->entry->was_unknown)) {
        AnswerUnknown(*event, outcome.request.doubt->anchor, outcome.why);
      } else {
        ++counters_.refused;
        std::string reply;
        AppendError(reply, "RETRY " + Escape(outcome.why));
        AnswerNotStored(*event, reply);
      }
      break;
    case SpillOutcome::Kind::kUnknown:
      AnswerUnknown(*event, outcome.anchor, outcome.why);
      break;
  }
  intake_.Recycle(std::move(event));
}

void Router::OnEarlierEvents(const EarlierEvents& events, bool complete) {
  for (const Window::Restored& event : events.spilled) window_.Restore(event);
  for (const EarlierEvents::Unknown& event : events.unknown) {
    if (!window_.AddUnknown(event.identity, event.anchor)) OnUnknownForgotten();
  }
  folder_unread_ = !complete;
}

// ---- Answers

void Router::Answer(PendingEvent& event, std::string_view resp) {
  event.reply_to.Reply(resp);
  AnswerWaiters(event.entry, resp);
}

void Router::AnswerLanded(PendingEvent& event, StreamId id) {
  Answer(event, EntryIdReply(id));
  if (event.entry != nullptr) window_.SetLanded(event.entry, id);
}

void Router::AnswerNotStored(PendingEvent& event, std::string_view resp) {
  Answer(event, resp);
  if (event.entry != nullptr) window_.Erase(event.entry);
}

void Router::AnswerUnknown(PendingEvent& event, StreamId anchor, std::string_view why) {
  ++counters_.unknown;
  std::vector<std::string_view> args;
  EventView view;
  SPROCKETS_ASSERT(ParseWholeCommand(event.wire, &args) && ParseXadd(args, options_.event_id_field, &view).ok());
  std::string reply;
  AppendError(reply, "UNKNOWN " + Escape(view.event_id()) + " " + Escape(why));
  Answer(event, reply);
  // Where we made the id, the client has been told it: it may come back with it.
  const bool remembered =
      event.entry != nullptr ? window_.SetUnknown(event.entry, anchor) : window_.AddUnknown(hasher_.Of(view), anchor);
  if (!remembered) OnUnknownForgotten();
}

void Router::OnUnknownForgotten() {
  if (!std::exchange(unknown_forgotten_, true)) sinks_.notices->UnknownForgotten();
}

}  // namespace sprockets
