#include "sidecar/delivery/disk_first.h"

#include <algorithm>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/journal/restore.h"

namespace sprockets {

namespace {

StreamCounters CountersOf(const AheadStream& stream) {
  return {stream.accepted, stream.landed_rows, stream.journaled};
}

constexpr int64_t kRefusalHoldsMs = 10'000;
constexpr int64_t kMarkEveryMs = 100;  // a mark may lag by so much: then rows that landed are asked for once more

}  // namespace

DiskFirst::DiskFirst(uv_loop_t* loop, const LoopClock* clock, Options options, const SpillFolder& folder,
                     const JournalContents& contents, const LandedMarks& marks, Disk* disk)
    : clock_(clock),
      disk_(disk),
      link_(loop, clock, options.forwarder.url, options.redis_timeout_ms),
      pages_read_(new uv_async_t),
      reader_(folder, [async = pages_read_.get()] { uv_async_send(async); }),
      journal_(this),
      forwarder_(options.forwarder, std::move(options.tags), &link_, &journal_, this),
      tails_(options.tails ? std::make_unique<TailReader>(loop, clock, *std::move(options.tails)) : nullptr),
      acceptor_(options.acceptor, IdentityHasher(), &forwarder_, disk, tails_.get()) {
  const auto collect = [](uv_async_t* async) {
    if (async->data != nullptr) static_cast<DiskFirst*>(async->data)->CollectPages();
  };
  SPROCKETS_ASSERT(uv_async_init(loop, pages_read_.get(), collect) == 0);
  pages_read_->data = this;
  Restore(contents, marks, /*others_too=*/true, &forwarder_);
  has_salvaged_ = forwarder_.has_salvaged();
  journal_.Start(&forwarder_);
  if (tails_) tails_->Start(&acceptor_);
}

DiskFirst::~DiskFirst() {
  reader_.Join();
}

void DiskFirst::Start(std::function<void(const std::string&)> on_unusable, std::function<void()> on_lost) {
  link_.Start(&forwarder_, std::move(on_unusable), std::move(on_lost));
}

void DiskFirst::EndTurn() {
  forwarder_.Tick(clock_->Now(), static_cast<uint64_t>(clock_->Wall().ms));
  link_.Flush();
  if (tails_) tails_->EndTurn();
  reader_.Submit();
  if (!confirm_wanted_ && clock_->Now().ms - marked_ms_ < kMarkEveryMs) return;
  marked_ms_ = clock_->Now().ms;
  std::vector<LandedMark> marks = forwarder_.TakeMarks();
  const bool confirms = std::exchange(confirm_wanted_, false);
  unconfirmed_ += confirms ? 1 : 0;
  if (!marks.empty() || confirms) disk_->NoteLanded(std::move(marks), confirms);
}

void DiskFirst::EverySecond() {
  if (has_salvaged_ && !forwarder_.has_salvaged()) {
    has_salvaged_ = false;
    disk_->NoteSalvagedPlaced();
  }
  acceptor_.CheckPatience(clock_->Now());
  journal_.KeepHouse();
  disk_->KeepJournal();
}

void DiskFirst::SpillMoved(SpillRequest request) {
  request.event->received = clock_->Wall();
  disk_->Spill(std::move(request));
}

void DiskFirst::KeepRejected(const std::string& stream, int64_t ticket, std::string_view why) {
  LogError("entry-rejected", {{"stream", stream}, {"ticket", ticket}, {"why", why}});
  disk_->NoteRejected({stream, ticket, std::string(why)});
}

void DiskFirst::CollectPages() {
  for (JournalPageRead& read : reader_.Collect()) journal_.OnPage(read.stream, std::move(read.page));
}

void DiskFirst::OnSpillOutcome(SpillOutcome outcome) {
  refusal_ = outcome.kind == SpillOutcome::Kind::kRefused ? outcome.why : "";
  refused_at_ = clock_->Now();
  acceptor_.OnOutcome(std::move(outcome));
}

void DiskFirst::OnJournalBlocked(const JournalBlocked& blocked) {
  acceptor_.OnBlocked(blocked.blocked, blocked.why);
}

Status DiskFirst::Hold(int64_t for_ms) {
  forwarder_.Hold(clock_->Now(), for_ms);
  confirm_wanted_ = true;
  LogWarning(for_ms > 0 ? "forwarding-held" : "forwarding-goes-on", {{"for_ms", for_ms}});
  return {};
}

Status DiskFirst::Refill(std::string_view stream) {
  AheadStream* const found = forwarder_.FindStream(stream);
  if (found == nullptr) return Error{ErrorCode::kNotFound, "no journal holds this stream"};
  LogInfo("refill-asked", {{"stream", stream}});
  forwarder_.Refill(*found);
  confirm_wanted_ = true;
  return {};
}

// What is in the journal is forwarded by the next life.
void DiskFirst::Stop() {
  acceptor_.Stop();
  if (tails_) tails_->Stop();
  link_.Stop();
  journal_.Stop();
  std::vector<LandedMark> marks = forwarder_.TakeMarks();
  if (!marks.empty()) disk_->NoteLanded(std::move(marks));
}

// ---- What is told

void DiskFirst::Ready(const Incarnation& incarnation, bool guarded, bool is_new) {
  LogInfo("redis-ready", {{"server", link_.url().ForLogs()}, {"run_id", incarnation.run_id}, {"known", !is_new}});
  if (!guarded && was_guarded_)
    LogWarning("guard-not-permitted",
               {{"key", kGuardKey}, {"cost", "a replaced dataset is noticed only if it closes connections"}});
  was_guarded_ = guarded;
  if (is_new) acceptor_.ForgetTails();
  disk_->NoteRedisLife(incarnation.run_id, incarnation.replication_id);
}

void DiskFirst::Decided(const AheadStream& stream, const Placing::Counts& counts) {
  LogWarning("entries-not-in-place", {{"stream", stream.name},
                                      {"overtaken", counts.overtaken},
                                      {"unproven", counts.unproven},
                                      {"reported", counts.reported}});
}

void DiskFirst::StreamRefused(const AheadStream& stream, std::string_view why) {
  LogWarning("stream-refused", {{"stream", stream.name}, {"why", why}});
}

JournalFacts DiskFirst::Journaled(WallTime now) const {
  JournalFacts facts;
  facts.guarded = forwarder_.guarded();
  facts.blocked = acceptor_.blocked();
  // Not for ever: nobody may send events to a sidecar that is not ready, and then nothing would say that there is room.
  if (clock_->Now().ms - refused_at_.ms < kRefusalHoldsMs) facts.refusal = refusal_;
  if (const auto until = forwarder_.hold_until()) facts.held_ms = std::max<int64_t>(0, until->ms - clock_->Now().ms);
  for (const auto& [name, stream] : forwarder_.streams()) {
    const StreamId committed = stream->rows.committed();
    const int64_t ahead_ms = static_cast<int64_t>(stream->assigned.ms) - now.ms;
    facts.ahead_of_clock_ms = std::max(facts.ahead_of_clock_ms, ahead_ms);
    const StreamId landed = forwarder_.Landed(*stream);
    if (committed <= landed && stream->refusal.empty() && !stream->salvaged) continue;
    // Since the first row that has not landed; where that is not in memory, since the last one that has. If none has,
    // the last one of all is at least no younger.
    const JournalRow* next = stream->rows.Next();
    const StreamId since = next != nullptr ? next->id : landed == kStreamBegin ? committed : landed;
    facts.lag_ms = std::max(facts.lag_ms, now.ms - static_cast<int64_t>(since.ms));
    facts.streams.push_back({name, committed, landed, stream->refusal});
  }
  return facts;
}

DeliveryFacts DiskFirst::Facts(WallTime now) const {
  const AcceptorCounters& accepted = acceptor_.counters();
  const ForwarderCounters& forwarded = forwarder_.counters();
  DeliveryFacts facts;
  facts.mode = "disk";
  facts.redis = {.connected = forwarder_.ready(),
                 .takes_events = forwarder_.ready() && !acceptor_.blocked(),
                 .run_id = forwarder_.incarnation().run_id,
                 .replication_id = forwarder_.incarnation().replication_id,
                 .database = link_.url().database,
                 .since = link_.changed_at(),
                 .durability = std::nullopt,
                 .last_error = link_.last_failure().empty() ? forwarder_.held_up_by() : link_.last_failure()};
  facts.counters = {{"accepted", accepted.accepted},  {"journaled", accepted.journaled},
                    {"landed", forwarded.landed},     {"deduplicated", accepted.deduplicated},
                    {"refused", accepted.refused},    {"unknown", accepted.unknown},
                    {"invalid", accepted.invalid},    {"other_payload", accepted.other_payload},
                    {"refills", forwarded.refills},   {"overtaken", forwarded.overtaken},
                    {"unproven", forwarded.unproven}, {"reported", forwarded.reported},
                    {"rejected", forwarded.rejected}};
  facts.unanswered = acceptor_.unanswered();
  facts.journal = Journaled(now);
  return facts;
}

DeliveryProbes DiskFirst::Probes() const {
  DeliveryProbes probes;
  for (const auto& [name, stream] : forwarder_.streams()) {
    if (!stream->refusal.empty() && probes.refused.size() < kNamedStreams)
      probes.refused.push_back({name, stream->refusal});
    if (named_streams_.size() < kNamedStreams &&
        std::find(named_streams_.begin(), named_streams_.end(), stream.get()) == named_streams_.end())
      named_streams_.push_back(stream.get());
    const StreamCounters counters = CountersOf(*stream);
    probes.other_streams.accepted += counters.accepted;
    probes.other_streams.landed += counters.landed;
    probes.other_streams.spilled += counters.spilled;
  }
  for (const AheadStream* stream : named_streams_) {
    probes.streams.push_back({stream->name, CountersOf(*stream)});
    probes.other_streams -= probes.streams.back().counters;
  }
  probes.reads_tails = tails_ != nullptr;
  probes.times_opened = link_.times_lost();
  if (link_.answered_ms() > 0) probes.answered_ms = link_.answered_ms();
  probes.window_used = acceptor_.window().size();
  probes.window_capacity = acceptor_.window().capacity();
  probes.disk_queue_bytes = acceptor_.queue_bytes();
  probes.to_disk = acceptor_.disk_latency();
  return probes;
}

void DiskFirst::MeasureAnswers() {
  if (acceptor_.latency().has_answers()) acceptor_.latency().EndTurn(SteadyClockUs());
}

void DiskFirst::LogStopped() const {
  LogInfo("stopped", {{"accepted", acceptor_.counters().accepted},
                      {"journaled", acceptor_.counters().journaled},
                      {"landed", forwarder_.counters().landed}});
}

}  // namespace sprockets
