#include "shared/ahead/forwarder.h"

#include <algorithm>
#include <utility>

#include "shared/base/result.h"
#include "shared/redis/info.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr int64_t kLookMs = 1'000;                                 // an idle connection is asked so often whose it is
constexpr int kBreaksToGoAlone = 3;                                // over the same first row
constexpr int kBreaksToReject = 6;                                 // of which the later ones were over this row alone
constexpr std::string_view kProtocolError = "ERR Protocol error";  // behind which Redis closes the connection
constexpr uint32_t kMostMoveDoublings = 10;
constexpr size_t kMostPages = 8;  // of rows, in memory or on their way there

}  // namespace

Forwarder::Forwarder(ForwarderOptions options, std::vector<EntryTag> tags, ForwarderLink* link, JournalSource* journal,
                     ForwarderNotices* notices)
    : options_(std::move(options)), tags_(std::move(tags)), link_(link), journal_(journal), notices_(notices) {
  SPROCKETS_ASSERT(!tags_.empty());
}

Forwarder::~Forwarder() = default;

// ---- The journal

AheadStream& Forwarder::AddStream(std::string name, StreamId committed) {
  auto& stream = streams_[name];
  if (stream == nullptr) stream = std::make_unique<AheadStream>(std::move(name), committed);
  return *stream;
}

AheadStream* Forwarder::FindStream(std::string_view name) const {
  const auto found = streams_.find(name);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Forwarder::Restore(const LandedMark& mark) {
  const bool in_use = FindStream(mark.stream) != nullptr;
  AheadStream& stream = AddStream(mark.stream, kStreamBegin);
  stream.in_use = in_use;
  idle_streams_ += in_use ? 0 : 1;
  stream.landed = stream.landed_before = mark.landed;
  stream.landed_in = {mark.run_id, mark.replication_id};
  stream.top = mark.top;
  // Its journals may be gone, dropped when they had landed: ids go on above theirs all the same.
  stream.assigned = std::max({stream.assigned, mark.landed, mark.top});
  stream.rows.GoBack(mark.landed);
  marks_[mark.stream] = mark;
}

void Forwarder::AddMoved(int64_t origin, int64_t ticket) {
  int64_t& current = moved_[origin];
  current = std::max(current, ticket);
}

void Forwarder::AddSalvaged(AheadStream& stream, StreamId above, StreamId up_to) {
  if (!stream.salvaged) stream.salvaged.emplace(above, up_to);
  stream.salvaged->first = std::min(stream.salvaged->first, above);
  stream.salvaged->second = std::max(stream.salvaged->second, up_to);
}

bool Forwarder::has_salvaged() const {
  return std::any_of(streams_.begin(), streams_.end(), [](const auto& each) { return each.second->salvaged; });
}

std::optional<StreamId> Forwarder::NextId(AheadStream& stream, uint64_t now_ms) {
  if (!std::exchange(stream.in_use, true)) --idle_streams_;
  const auto id = NextEntryId(tags_.back(), std::max(stream.assigned, stream.top), now_ms);
  if (id) stream.assigned = *id;
  return id;
}

void Forwarder::OnCommitted(AheadStream& stream, JournalRow row) {
  fresh_bytes_ += row.bytes();
  stream.rows.Add(std::move(row));
  ForgetFreshBeyondLimit();
}

void Forwarder::ForgetFreshBeyondLimit() {
  if (fresh_bytes_ <= options_.fresh_bytes) return;
  size_t left = 0;
  AheadStream* largest = nullptr;
  for (const auto& [name, stream] : streams_) {
    left += stream->rows.fresh_bytes();
    if (largest == nullptr || stream->rows.fresh_bytes() > largest->rows.fresh_bytes()) largest = stream.get();
  }
  if (left > options_.fresh_bytes) {
    left -= largest->rows.fresh_bytes();
    largest->rows.ForgetFresh();
  }
  fresh_bytes_ = left;
}

void Forwarder::Read(AheadStream& stream, bool down, StreamId above, StreamId to) {
  stream.read = AheadStream::Read{next_request_++, down, above, to};
  if (down) {
    journal_->ReadDown(stream, stream.read->request, above, to);
  } else {
    journal_->ReadUp(stream, stream.read->request, above, to);
  }
}

void Forwarder::OnPage(AheadStream& stream, JournalPage page) {
  if (!stream.read || stream.read->request != page.request) return;  // nobody waits for it any more
  const AheadStream::Read read = *std::exchange(stream.read, std::nullopt);
  if (!stream.placing) return stream.rows.AddPage(std::move(page), read.to, moved_);
  const std::optional<StreamId> last = page.rows.empty() ? std::nullopt : std::optional(page.rows.back().id);
  std::erase_if(page.rows, [this](const JournalRow& row) { return !IsCurrent(row, moved_); });
  if (page.rows.empty() && !page.is_last && last)
    return read.down ? Read(stream, true, read.above, *last) : Read(stream, false, *last, read.to);
  Placing::Step step = stream.placing->TakePage(std::move(page));
  CountDecided(stream);
  Follow(stream, std::move(step));
}

void Forwarder::OnMoved(AheadStream& stream, std::vector<JournalRow> rows) {
  stream.moving -= rows.size();
  moving_ -= rows.size();
  for (const JournalRow& row : rows) AddMoved(row.origin, row.ticket);
  stream.rows.DropMoved(moved_);
  for (JournalRow& row : rows) OnCommitted(stream, std::move(row));
  if (stream.placing && stream.moving == 0) Follow(stream, stream.placing->TakeMoved());
}

// What landed is forgotten at once: a kill must not make a later life believe it of streams that others have filled.
void Forwarder::Hold(LoopTime now, int64_t for_ms) {
  hold_ms_ = for_ms;
  hold_until_ = {now.ms + for_ms};
  for (const auto& [name, stream] : streams_) Refill(*stream);
}

bool Forwarder::hold_begins() const {
  return hold_until_ && (flight_ || moving_ > 0);
}

void Forwarder::Refill(AheadStream& stream) {
  stream.refill_wanted = true;
  ForgetWhatLanded(stream);
}

// Not while a flight or a placing may say of the stream what was true before.
void Forwarder::ForgetWhatLanded(AheadStream& stream) {
  if (!stream.refill_wanted || flight_ || stream.state == AheadStream::State::kPlacing || stream.moving > 0) return;
  stream.refill_wanted = false;
  stream.read.reset();
  stream.landed_in = {};
  stream.landed = kStreamBegin;
  stream.rows.GoBack(kStreamBegin);
}

std::vector<LandedMark> Forwarder::TakeMarks() {
  std::vector<LandedMark> changed;
  for (const auto& [name, stream] : streams_) {
    LandedMark& mark = marks_[name];
    // What is to be forgotten is on disk as forgotten, however long a flight or a placing takes yet.
    const Incarnation in = stream->refill_wanted ? Incarnation() : stream->landed_in;
    const StreamId landed = stream->refill_wanted ? kStreamBegin : stream->landed;
    const bool is_same = mark.landed == landed && mark.top == stream->top && mark.run_id == in.run_id &&
                         mark.replication_id == in.replication_id;
    if (is_same) continue;
    mark = {name, landed, stream->top, in.run_id, in.replication_id};
    changed.push_back(mark);
  }
  return changed;
}

// Between the greeting and the placing a stream may still say what landed in another dataset.
StreamId Forwarder::Landed(const AheadStream& stream) const {
  return !ready() || stream.landed_in == incarnation_ ? stream.landed : kStreamBegin;
}

bool Forwarder::idle() const {
  const auto is_done = [this](const auto& each) {
    const AheadStream& stream = *each.second;
    return stream.state == AheadStream::State::kReady && !stream.has_rows_to_send() && !stream.refill_wanted &&
           stream.landed_in == incarnation_ && !stream.salvaged;
  };
  return ready() && placing_begun_ && !hold_until_ && !flight_ && moving_ == 0 &&
         std::all_of(streams_.begin(), streams_.end(), is_done);
}

// ---- The connection

void Forwarder::OnConnected() {
  SPROCKETS_ASSERT(state_ == State::kDisconnected);
  state_ = State::kGreeting;
  greeting_.emplace(options_.url, options_.client_name, mended_);
  Follow(greeting_->Begin());
}

void Forwarder::Await(Awaited awaited, size_t answers) {
  awaited_.push_back({awaited, answers});
}

void Forwarder::OnAnswer(const RedisAnswer& answer, LoopTime now) {
  now_ = now;
  SPROCKETS_ASSERT(!awaited_.empty());
  const Awaited awaited = awaited_.front().first;
  if (--awaited_.front().second == 0) awaited_.pop_front();
  std::visit([&](const auto& each) { Take(each, answer, now); }, awaited);
}

void Forwarder::Take(OfGreeting, const RedisAnswer& answer, LoopTime) {
  Follow(greeting_->TakeAnswer(answer));
}

void Forwarder::Follow(const Greeting::Step& step) {
  if (const auto* send = std::get_if<Greeting::Send>(&step)) {
    Await(OfGreeting{}, send->answers);
    link_->Send(send->commands, send->answers);
  } else if (const auto* refused = std::get_if<Greeting::Refused>(&step)) {
    if (refused->for_ever) link_->Unusable(refused->why);
    Fail(refused->why);
  } else if (std::holds_alternative<Greeting::Ready>(step)) {
    OnReady();
  }
}

void Forwarder::OnReady() {
  const bool is_new = incarnation_ != greeting_->incarnation();
  incarnation_ = greeting_->incarnation();
  mended_ = incarnation_.run_id;
  guarded_ = greeting_->guarded();
  greeting_.reset();
  state_ = State::kReady;
  heard_at_ = now_;
  if (is_new) breaks_ = 0;
  link_->Greeted();
  notices_->Ready(incarnation_, guarded_, is_new);
}

// What was moved on an earlier connection must be in the journal, or nowhere, before anybody asks what landed.
void Forwarder::BeginPlacing() {
  if (placing_begun_ || blocked_ || moving_ > 0) return;
  placing_begun_ = true;
  for (const auto& [name, stream] : streams_) {
    Place(*stream);
    if (state_ != State::kReady) return;
  }
}

// What landed in another dataset may be missing from this one.
void Forwarder::Place(AheadStream& stream) {
  if (stream.landed_in != incarnation_) {
    stream.landed_in = incarnation_;
    stream.landed = kStreamBegin;
    stream.rows.GoBack(kStreamBegin);
  }
  if (stream.has_rows_to_send() || stream.salvaged) return BeginPlacing(stream);
  stream.state = AheadStream::State::kReady;
}

void Forwarder::BeginPlacing(AheadStream& stream) {
  stream.state = AheadStream::State::kPlacing;
  stream.read.reset();
  if (stream.salvaged) {
    const auto& [above, up_to] = *stream.salvaged;
    stream.placing = std::make_unique<PlacingOfSalvaged>(options_.placing, above, up_to);
  } else {
    stream.placing = std::make_unique<Placing>(options_.placing, stream.landed, stream.rows.committed(),
                                               stream.landed_before, stream.committed_before);
  }
  Follow(stream, stream.placing->Begin());
}

void Forwarder::Take(OfPlacing placing, const RedisAnswer& answer, LoopTime) {
  AheadStream& stream = *placing.stream;
  Placing::Step step = stream.placing->TakeAnswer(answer, tags_);
  stream.top = std::max(stream.top, stream.placing->top());
  CountDecided(stream);
  Follow(stream, std::move(step));
}

void Forwarder::Follow(AheadStream& stream, Placing::Step step) {
  std::visit([&](const auto& each) { Do(stream, each); }, step);
}

void Forwarder::Do(AheadStream& stream, const Placing::Ask&) {
  Await(OfPlacing{&stream});
  link_->Send(MakeCommand({"XINFO", "STREAM", stream.name}), 1);
}

void Forwarder::Do(AheadStream& stream, const Placing::ReadDown& read) {
  Read(stream, /*down=*/true, read.above, read.below);
}

void Forwarder::Do(AheadStream& stream, const Placing::ReadUp& read) {
  Read(stream, /*down=*/false, read.above, read.up_to);
}

void Forwarder::Do(AheadStream& stream, const Placing::LookUp& look_up) {
  std::string commands;
  for (const JournalRow& row : look_up.rows) {
    const std::string id = ToString(row.id);
    commands += MakeCommand({"XRANGE", stream.name, id, id});
  }
  Await(OfPlacing{&stream}, look_up.rows.size());
  link_->Send(commands, look_up.rows.size());
}

// Behind everything that was ever given an id, so that order is kept as far as it can be; and the farther, the more
// often it was in vain.
void Forwarder::Do(AheadStream& stream, const Placing::Move& move) {
  if (hold_until_) {  // whoever is at work on the stream counts on the ids that it has seen: decided anew afterwards
    stream.placing.reset();
    stream.state = AheadStream::State::kReady;
    return Refill(stream);
  }
  const uint64_t lead = 1ull << std::min(stream.moves_in_a_row++, kMostMoveDoublings);
  std::vector<JournalRow> rows;
  for (const JournalRow& row : move.rows) {
    const auto id = NextId(stream, std::max(wall_ms_, stream.top.ms) + lead);
    if (!id) return Refuse(stream, "the stream has no id left");
    rows.push_back(row.Under(*id));
  }
  stream.moving += rows.size();
  moving_ += rows.size();
  journal_->Move(stream, std::move(rows));
}

void Forwarder::Do(AheadStream& stream, const Placing::Done& done) {
  if (stream.salvaged) {
    stream.salvaged.reset();
    stream.placing.reset();
    return Place(stream);
  }
  if (done.landed < stream.landed_before) ++counters_.refills;
  stream.placing.reset();
  stream.state = AheadStream::State::kReady;
  stream.refusal.clear();
  Land(stream, done.landed);
}

// Before anything comes of it: a kill must not hide what was not proven.
void Forwarder::CountDecided(AheadStream& stream) {
  const Placing::Counts decided = stream.placing->TakeCounts();
  if (decided.none()) return;
  counters_.overtaken += decided.overtaken;
  counters_.unproven += decided.unproven;
  counters_.reported += decided.reported;
  notices_->Decided(stream, decided);
}

void Forwarder::Do(AheadStream& stream, const Placing::Refused& refused) {
  Refuse(stream, refused.why);
}

void Forwarder::Refuse(AheadStream& stream, std::string_view why) {
  if (stream.refusal != why) notices_->StreamRefused(stream, why);
  stream.refusal = why;
  stream.placing.reset();
  stream.state = AheadStream::State::kRefused;
  stream.read.reset();
  stream.rows.GoBack(stream.landed);  // its page is memory that others need
  stream.retry_at = {now_.ms + stream.backoff.NextMs(counters_.flights)};
}

void Forwarder::Land(AheadStream& stream, StreamId landed) {
  stream.landed = std::max(stream.landed, landed);
  stream.top = std::max(stream.top, stream.landed);
  stream.landed_before = std::max(stream.landed_before, stream.landed);
  stream.rows.Pass(stream.landed);
}

// ---- Flights

void Forwarder::Tick(LoopTime now, uint64_t wall_ms) {
  now_ = now;
  wall_ms_ = wall_ms;
  for (const auto& [name, stream] : streams_) ForgetWhatLanded(*stream);
  if (hold_ms_ > 0 && hold_begins()) hold_until_ = {now.ms + hold_ms_};
  if (hold_until_ && now >= *hold_until_) hold_until_.reset();
  if (state_ != State::kReady) return;
  if (!hold_until_) GoOn();
  if (state_ == State::kReady) Look();
}

void Forwarder::GoOn() {
  BeginPlacing();
  if (state_ != State::kReady || !placing_begun_ || blocked_) return;
  for (const auto& [name, stream] : streams_) {
    if (stream->state == AheadStream::State::kUnplaced) {  // it is new, so nothing of it was ever sent
      stream->state = AheadStream::State::kReady;
      stream->landed_in = incarnation_;
    }
    const bool was_forgotten = stream->state == AheadStream::State::kReady && stream->landed_in != incarnation_;
    const bool is_due =
        stream->state == AheadStream::State::kRefused && now_ >= stream->retry_at && stream->moving == 0;
    if (was_forgotten) Place(*stream);
    if (is_due) BeginPlacing(*stream);
    if (state_ != State::kReady) return;
  }
  if (!flight_ && now_ >= resume_at_) Fly();
}

void Forwarder::Look() {
  if (!awaited_.empty() || now_.ms - heard_at_.ms < kLookMs) return;
  Await(OfLook{});
  link_->Send(MakeCommand({"INFO", "replication"}), 1);
}

void Forwarder::Fly() {
  Flight flight(guarded_, std::move(commands_));
  const bool waits = AddAlone(flight);
  flies_alone_ = !flight.empty();
  if (flight.empty() && !waits) AddAll(flight);
  commands_ = flight.TakeCommands();
  if (flight.empty()) return;
  flight_ = std::move(flight);
  ++counters_.flights;
  Await(OfFlight{}, flight_->answers());
  link_->Send(commands_, flight_->answers());
}

// As many streams as there is room for, beginning behind the last one that flew.
void Forwarder::AddAll(Flight& flight) {
  auto next = streams_.upper_bound(last_stream_);
  for (size_t i = 0; i < streams_.size() && flight.rows() < options_.flight.rows; ++i, ++next) {
    if (next == streams_.end()) next = streams_.begin();
    AheadStream& stream = *next->second;
    if (stream.state != AheadStream::State::kReady) continue;
    if (flight.Add(stream, options_.flight)) {
      last_stream_ = stream.name;
    } else {
      AskForPage(stream);
    }
  }
}

// One row of the first stream that can fly. What cannot now goes behind the others, and one that Redis refuses alone is
// no suspect. True: its page is on its way, and nobody flies before it.
bool Forwarder::AddAlone(Flight& flight) {
  for (size_t left = alone_.size(); left > 0 && !alone_.empty(); --left) {
    auto& [stream, rows] = alone_.front();
    if (stream->state == AheadStream::State::kReady && RejectWhatBreaks(*stream)) --rows;
    const bool is_over = rows == 0 || stream->state == AheadStream::State::kRefused ||
                         (stream->state == AheadStream::State::kReady && !stream->has_rows_to_send());
    if (is_over) {
      alone_.pop_front();
      continue;
    }
    if (stream->state == AheadStream::State::kReady) {
      if (flight.Add(*stream, {.rows = 1, .bytes = 0})) return false;
      AskForPage(*stream);
      if (stream->read) return true;
    }
    std::rotate(alone_.begin(), alone_.begin() + 1, alone_.end());
  }
  return false;
}

void Forwarder::AskForPage(AheadStream& stream) {
  if (stream.rows.needs_page() && !stream.read && HasRoomForPage())
    Read(stream, false, stream.rows.page_from(), stream.rows.page_to());
}

// However many streams are behind, a few pages at a time keep Redis busy.
bool Forwarder::HasRoomForPage() const {
  size_t pages = 0;
  for (const auto& [name, stream] : streams_) pages += stream->read || stream->rows.has_page() ? 1 : 0;
  return pages < kMostPages;
}

// Redis answers everything else, and breaks over this row alone: it is kept aside.
bool Forwarder::RejectWhatBreaks(AheadStream& stream) {
  const JournalRow* row = stream.rows.Next();
  if (row == nullptr || row->id != broke_over_ || breaks_ < kBreaksToReject) return false;
  ++counters_.rejected;
  breaks_ = 0;
  journal_->Reject(stream, row->ticket, "connections to Redis break over it");
  Land(stream, row->id);
  return true;
}

void Forwarder::Take(OfFlight, const RedisAnswer& answer, LoopTime now) {
  switch (flight_->TakeAnswer(answer, incarnation_)) {
    case Flight::Outcome::kUnderWay:
      break;
    case Flight::Outcome::kDone:
      heard_at_ = now;
      backoff_.Reset();
      held_up_by_.clear();
      OnFlightDone();
      break;
    case Flight::Outcome::kLater:
      heard_at_ = now;
      resume_at_ = {now.ms + backoff_.NextMs(counters_.flights)};
      held_up_by_ = flight_->why();
      flight_.reset();
      break;
    case Flight::Outcome::kBroken:
      CountBreak(/*by_server=*/answer.is_error() && answer.text.starts_with(kProtocolError));
      Fail(flight_->why());
      break;
  }
}

void Forwarder::OnFlightDone() {
  const Flight flight = *std::exchange(flight_, std::nullopt);
  if (flies_alone_ && !alone_.empty() && --alone_.front().second == 0) alone_.pop_front();
  for (const Flight::Part& part : flight.parts()) {
    AheadStream& stream = *part.stream;
    switch (part.outcome) {
      case Flight::Part::Outcome::kNotApplied:
        break;
      case Flight::Part::Outcome::kLanded:
        counters_.landed += part.rows.size() - part.rejected.size();
        stream.landed_rows += part.rows.size() - part.rejected.size();
        for (const auto& [at, why] : part.rejected) {
          ++counters_.rejected;
          journal_->Reject(stream, part.rows[at].ticket, why);
        }
        if (part.rows.front().id == broke_over_) breaks_ = 0;
        stream.moves_in_a_row = 0;
        stream.backoff.Reset();
        Land(stream, part.rows.back().id);
        break;
      case Flight::Part::Outcome::kTooLow:
        BeginPlacing(stream);
        break;
      case Flight::Part::Outcome::kRefused:
        Refuse(stream, part.why);
        break;
    }
    if (state_ != State::kReady) return;
  }
}

void Forwarder::Take(OfLook, const RedisAnswer& answer, LoopTime now) {
  heard_at_ = now;
  if (answer.is_error()) return Fail(answer.text);
  if (auto why = NoMaster(answer.text)) return Fail(*why);
  if (InfoField(answer.text, "master_replid") != incarnation_.replication_id) Fail("Redis has changed its role");
}

// ---- The end of a connection

void Forwarder::Fail(std::string_view why) {
  link_->Disconnect(why);
  Reset();
}

void Forwarder::OnDisconnected(bool by_server) {
  CountBreak(by_server);
  Reset();
}

void Forwarder::CountBreak(bool by_server) {
  if (!flight_ || !by_server) return;
  const StreamId first = flight_->parts().front().rows.front().id;
  breaks_ = first == broke_over_ ? breaks_ + 1 : 1;
  broke_over_ = first;
  if (breaks_ < kBreaksToGoAlone || !alone_.empty()) return;
  for (const Flight::Part& part : flight_->parts()) alone_.emplace_back(part.stream, part.rows.size());
}

void Forwarder::Reset() {
  state_ = State::kDisconnected;
  placing_begun_ = false;
  greeting_.reset();
  flight_.reset();
  awaited_.clear();
  for (const auto& [name, stream] : streams_) {
    stream->state = AheadStream::State::kUnplaced;
    stream->placing.reset();
    stream->read.reset();
  }
}

}  // namespace sprockets
