#include "tests/faults/simulation/ahead_world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "shared/redis/resp.h"
#include "sidecar/redis/replies.h"
#include "tests/faults/simulation/reply.h"

namespace sprockets::sim {

namespace {

constexpr size_t kStreams = 2;
constexpr size_t kPageRows = 3;
constexpr int kSettlingSteps = 20'000;

ForwarderOptions Options(std::mt19937_64& random) {
  ForwarderOptions options;
  options.flight.rows = 1 + random() % 6;
  options.fresh_bytes = random() % 2 == 0 ? 600 : 1 << 20;
  return options;
}

}  // namespace

AheadWorld::AheadWorld(uint64_t seed, size_t events, AheadFaults faults)
    : prints_(std::getenv("SPROCKETS_PRINT") != nullptr),
      random_(seed),
      faults_(faults),
      redis_(faults.fail_overs > 0 ? 2 : 1) {
  for (size_t i = 0; i < events; ++i)
    events_.push_back(
        {.stream = "stream" + std::to_string(random_() % kStreams), .id = "event" + std::to_string(i), .told = {}});
  Start();
}

AheadWorld::~AheadWorld() = default;

void AheadWorld::Say(const std::string& what) const {
  if (prints_) std::fprintf(stderr, "%s\n", what.c_str());
}

// ---- The sidecar's life

void AheadWorld::Start() {
  Say("sidecar starts");
  tags_.push_back(static_cast<EntryTag>(1 + random_() % kMostEntryTag));
  forwarder_ = std::make_unique<Forwarder>(Options(random_), tags_, this, this, this);
  std::map<std::string, StreamId> committed;
  for (const Row& row : journal_) {
    if (row.out_of_reach) continue;
    committed[row.stream] = std::max(committed[row.stream], row.row.id);
    next_ticket_ = std::max(next_ticket_, row.ticket + 1);
    if (row.row.origin != row.ticket) forwarder_->AddMoved(row.row.origin, row.ticket);
  }
  for (const auto& [name, id] : committed) forwarder_->AddStream(name, id).assigned = id;
  for (const auto& [name, mark] : marks_) forwarder_->Restore(mark);
  for (const Row& row : journal_) {
    if (row.row.salvaged && !row.out_of_reach)
      forwarder_->AddSalvaged(*forwarder_->FindStream(row.stream), {row.row.id.ms, row.row.id.seq - 1}, row.row.id);
  }
}

// A file turns out to be damaged at a start, and its rows are out of reach until somebody salvages it. An event that
// was not answered, and comes again meanwhile, is a new one; so only others are taken.
void AheadWorld::Quarantine() {
  if (journal_.empty()) return;
  const int64_t from = journal_[random_() % journal_.size()].ticket;
  const int64_t up_to = from + static_cast<int64_t>(random_() % 4);
  for (Row& row : journal_) {
    const bool is_answered = events_[row.event].fate == Event::Fate::kAcknowledged;
    const bool is_moved = std::any_of(journal_.begin(), journal_.end(), [&](const Row& other) {
      return other.row.origin == row.row.origin && other.ticket != row.ticket;
    });
    if (row.ticket >= from && row.ticket <= up_to && is_answered && !is_moved) row.out_of_reach = true;
  }
  foreign_ = true;  // order is not kept, nor are ids
}

void AheadWorld::Salvage() {
  for (Row& row : journal_) row.row.salvaged = std::exchange(row.out_of_reach, false) || row.row.salvaged;
}

void AheadWorld::AddCounters() {
  const ForwarderCounters& counters = forwarder_->counters();
  totals_.overtaken += counters.overtaken;
  totals_.unproven += counters.unproven;
  totals_.refills += counters.refills;
}

void AheadWorld::KillSidecar() {
  Say("sidecar is killed");
  if (connection_ && redis_.Stands(*connection_)) redis_.Abandon(*connection_);
  connection_.reset();
  AddCounters();
  forwarder_.reset();
  commits_.clear();
  pages_.clear();
  commit_failed_ = false;
  for (Event& event : events_) {
    if (event.fate == Event::Fate::kWaiting) event.fate = Event::Fate::kUnsent;
  }
  if (Chance(50)) Salvage();
  if (faults_.quarantines-- > 0) Quarantine();
  Start();
}

// A client sends, or sends again what was not answered.
void AheadWorld::SendEvent() {
  std::vector<size_t> unsent;
  for (size_t i = 0; i < events_.size(); ++i) {
    if (events_[i].fate == Event::Fate::kUnsent) unsent.push_back(i);
  }
  if (unsent.empty() || commit_failed_) return;
  const size_t index = unsent[random_() % unsent.size()];
  Event& event = events_[index];
  // The window: what the journal holds already gets the id that it has there.
  const Row* known = nullptr;
  for (const Row& row : journal_) {
    if (row.event == index && (known == nullptr || row.ticket > known->ticket)) known = &row;
  }
  if (known != nullptr) {
    event.fate = Event::Fate::kAcknowledged;
    event.told = known->row.id;
    event.order = static_cast<size_t>(known->row.origin);
    return;
  }
  AheadStream& stream = forwarder_->AddStream(event.stream, kStreamBegin);
  const auto id = forwarder_->NextId(stream, static_cast<uint64_t>(Now()));
  SPROCKETS_ASSERT(id.has_value());
  EventView view;
  view.stream = event.stream;
  const std::string most = std::to_string(faults_.most);
  if (faults_.most > 0) view.options = {"MAXLEN", most};
  view.fields = {"event_id", event.id};
  view.event_id_at = 1;
  const int64_t ticket = next_ticket_++;
  Row row{ticket, event.stream, JournalRow::Of(ticket, ticket, *id, view), index};
  Say("accepted " + event.id + " for " + event.stream + " as " + ToString(*id));
  event.fate = Event::Fate::kWaiting;
  if (!commits_.empty() && !commits_.back().is_move && !commit_failed_ && Chance(70)) {
    commits_.back().rows.push_back(std::move(row));
  } else {
    commits_.push_back({{std::move(row)}, false});
  }
}

void AheadWorld::Persist(const Commit& commit) {
  for (const Row& row : commit.rows) {
    const auto is_same = [&](const Row& each) { return each.ticket == row.ticket; };
    if (std::none_of(journal_.begin(), journal_.end(), is_same)) journal_.push_back(row);
  }
}

// The first in the queue, and until it succeeds no other.
void AheadWorld::CommitOne(bool may_fail) {
  if (commits_.empty()) return;
  if (may_fail && faults_.commit_failures > 0 && Chance(10)) {
    --faults_.commit_failures;
    const bool appears = Chance(50);
    Say(std::string("COMMIT fails") + (appears ? ", and is there" : ""));
    if (appears) Persist(commits_.front());
    commit_failed_ = true;
    forwarder_->OnJournalBlocked(true);
    return;
  }
  Commit commit = std::move(commits_.front());
  commits_.pop_front();
  Persist(commit);
  commit_failed_ = false;
  forwarder_->OnJournalBlocked(false);
  if (commit.is_move) {
    std::vector<JournalRow> rows;
    for (Row& row : commit.rows) {
      Say("moved " + events_[row.event].id + " to " + ToString(row.row.id));
      rows.push_back(std::move(row.row));
    }
    return forwarder_->OnMoved(forwarder_->AddStream(commit.rows.front().stream, kStreamBegin), std::move(rows));
  }
  for (Row& row : commit.rows) {
    Event& event = events_[row.event];
    if (event.fate == Event::Fate::kWaiting) {
      event.fate = Event::Fate::kAcknowledged;
      event.told = row.row.id;
      event.order = static_cast<size_t>(row.ticket);
    }
    forwarder_->OnCommitted(forwarder_->AddStream(row.stream, kStreamBegin), std::move(row.row));
  }
}

void AheadWorld::GivePage() {
  if (pages_.empty()) return;
  const PageWanted wanted = pages_.front();
  pages_.pop_front();
  JournalPage page{wanted.request, {}, true};
  std::vector<const JournalRow*> inside;
  for (const Row& row : journal_) {
    const StreamId id = row.row.id;
    const bool fits = wanted.down ? id > wanted.above && id < wanted.to : id > wanted.above && id <= wanted.to;
    if (row.stream == wanted.stream && fits && !row.out_of_reach) inside.push_back(&row.row);
  }
  std::sort(inside.begin(), inside.end(), [&](const JournalRow* one, const JournalRow* other) {
    return wanted.down ? one->id > other->id : one->id < other->id;
  });
  page.is_last = inside.size() <= kPageRows;
  if (inside.size() > kPageRows) inside.resize(kPageRows);
  for (const JournalRow* row : inside) page.rows.push_back(*row);
  forwarder_->OnPage(forwarder_->AddStream(wanted.stream, kStreamBegin), std::move(page));
}

// ---- What the forwarder asks for

void AheadWorld::Send(std::string_view commands, size_t) {
  if (forwarder_->hold_until() && commands.find("XADD") != std::string_view::npos) broken_ = "a held event is sent";
  if (!connection_ || !redis_.Stands(*connection_)) return;  // its end has not been heard of yet
  AheadRedis::Connection& connection = redis_.connections.at(*connection_);
  while (!commands.empty()) {
    CommandParser parser(1 << 20);
    SPROCKETS_ASSERT(parser.Parse(commands) == CommandParser::Outcome::kComplete);
    connection.sent.emplace_back(commands.substr(0, parser.consumed()));
    commands.remove_prefix(parser.consumed());
  }
}

void AheadWorld::Disconnect(std::string_view why) {
  Say("sidecar disconnects: " + std::string(why));
  if (connection_ && redis_.Stands(*connection_)) redis_.Abandon(*connection_);
  connection_.reset();
}

void AheadWorld::Unusable(std::string_view why) {
  broken_ = "unusable: " + std::string(why);
}

void AheadWorld::ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) {
  pages_.push_back({stream.name, request, false, above, up_to});
}

void AheadWorld::ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) {
  pages_.push_back({stream.name, request, true, above, below});
}

void AheadWorld::Move(AheadStream& stream, std::vector<JournalRow> rows) {
  if (forwarder_->hold_until()) broken_ = "an event is moved during a hold";
  Commit commit{{}, true};
  for (JournalRow& row : rows) {
    row.ticket = next_ticket_++;
    const auto origin =
        std::find_if(journal_.begin(), journal_.end(), [&](const Row& each) { return each.ticket == row.origin; });
    SPROCKETS_ASSERT(origin != journal_.end());
    const size_t event = origin->event;
    commit.rows.push_back({row.ticket, stream.name, std::move(row), event});
  }
  commits_.push_back(std::move(commit));
}

void AheadWorld::Reject(AheadStream&, int64_t ticket, std::string_view why) {
  for (const Row& row : journal_) {
    if (row.ticket == ticket) excused_.insert(events_[row.event].id);
  }
  Say("rejected: " + std::string(why));
}

// Without proof anything may have become of them: the promise is that they are counted.
void AheadWorld::Decided(const AheadStream& stream, const Placing::Counts& counts) {
  Say("decided for " + stream.name + ": overtaken " + std::to_string(counts.overtaken) + ", unproven " +
      std::to_string(counts.unproven) + ", reported " + std::to_string(counts.reported));
  if (counts.unproven + counts.reported == 0) return;
  if (!foreign_) broken_ = "something was not proven although nobody else writes";
  for (const Event& event : events_) excused_.insert(event.id);
}

// ---- The connection

void AheadWorld::LoseConnection(bool by_server) {
  if (!connection_) return;
  if (redis_.Stands(*connection_)) redis_.Abandon(*connection_);
  connection_.reset();
  forwarder_->OnDisconnected(by_server);
}

void AheadWorld::TakeReply() {
  if (!connection_) return;
  if (!redis_.Stands(*connection_)) return LoseConnection(/*by_server=*/true);
  AheadRedis::Connection& connection = redis_.connections.at(*connection_);
  if (connection.replies.empty()) return;
  const auto reply = ParseReply(connection.replies.front());
  connection.replies.pop_front();
  forwarder_->OnAnswer(WholeAnswer(*reply), {steady_ms_});
}

// What goes on by itself.
void AheadWorld::GoOn(bool in_peace) {
  steady_ms_ += static_cast<int64_t>(random_() % 20);
  if (Chance(30)) clock_ms_ += 1;
  switch (random_() % 8) {
    case 0:
      if (!connection_ && active().up && !active().hung) {
        connection_ = redis_.Connect();
        Say("sidecar connects to server " + std::to_string(redis_.active));
        forwarder_->OnConnected();
      }
      break;
    case 1:
    case 2:
      for (const auto& [id, connection] : std::map(redis_.connections)) {
        const AheadRedis::Server& server = redis_.servers[connection.server];
        if (connection.sent.empty() || !server.up || server.hung || Chance(50)) continue;
        if (faults_.poison && connection.sent.front().find("event0\r") != std::string::npos && connection.open) {
          redis_.connections.erase(id);
          continue;
        }
        const size_t count = 1 + random_() % 4;
        for (size_t i = 0; i < count && redis_.Stands(id) && !redis_.connections.at(id).sent.empty(); ++i)
          redis_.Apply(id);
      }
      break;
    case 3:
      TakeReply();
      break;
    case 4:
      CommitOne(!in_peace);
      break;
    case 5:
      GivePage();
      break;
    case 6:
      forwarder_->Tick({steady_ms_}, static_cast<uint64_t>(Now()));
      break;
    case 7:
      if (Chance(30)) {
        for (LandedMark& mark : forwarder_->TakeMarks()) marks_[mark.stream] = mark;
      }
      break;
  }
  // An abandoned connection to a server that has moved on, or our own to one that is not asked any more.
  if (in_peace && connection_ && redis_.Stands(*connection_) &&
      redis_.connections.at(*connection_).server != redis_.active)
    LoseConnection(false);
}

bool AheadWorld::AnyFault() {
  AheadRedis::Server& server = active();
  const std::string stream = "stream" + std::to_string(random_() % kStreams);
  switch (random_() % 14) {
    case 0:
      if (faults_.redis_kills-- <= 0 || !server.up) return false;
      Say("kill -9 of Redis");
      redis_.CrashAndLose(Chance(20) ? server.changes.size() : random_() % 4);
      return true;
    case 1:
      if (faults_.hangs-- <= 0 || !server.up) return false;
      server.hung = true;
      return true;
    case 2:
      if (faults_.refusals-- <= 0) return false;
      server.refusal = "OOM command not allowed when used memory > 'maxmemory'.";
      return true;
    case 3:
      if (faults_.fail_overs-- <= 0) return false;
      Say("failover");
      redis_.FailOver(random_() % 3);
      return true;
    case 4:
      if (faults_.foreign_adds-- <= 0 || !server.up) return false;
      foreign_ = true;
      {
        const StreamId top = redis_.Look(redis_.active, stream).top;
        const uint64_t ms = static_cast<uint64_t>(Now());
        const StreamId id = top.ms < ms ? StreamId{ms, 0} : StreamId{top.ms, top.seq + 1};
        Say("somebody adds " + ToString(id) + " to " + stream);
        redis_.AddForeign(stream, id);
      }
      return true;
    case 5:
      if (faults_.foreign_sidecar_adds-- <= 0 || !server.up) return false;
      foreign_ = true;
      {
        const StreamId top = redis_.Look(redis_.active, stream).top;
        const auto id =
            NextEntryId(static_cast<EntryTag>(1 + random_() % kMostEntryTag), top, static_cast<uint64_t>(Now()));
        redis_.AddForeign(stream, *id);
      }
      return true;
    case 6:
      if (faults_.clock_jumps-- <= 0) return false;
      clock_ms_ += static_cast<int64_t>(random_() % 13) - 6;
      return true;
    case 7:
      if (faults_.trims-- <= 0 || !server.up) return false;
      Say("XTRIM " + stream);
      server.changes.push_back({.kind = StreamChange::Kind::kTrim,
                                .stream = stream,
                                .id = {},
                                .event = {},
                                .most = random_() % 3,
                                .fields = {}});
      return true;
    case 8: {
      const AheadRedis::View view = redis_.Look(redis_.active, stream);
      if (view.entries.empty() || faults_.deletes-- <= 0 || !server.up) return false;
      const StreamId id = view.entries[random_() % view.entries.size()]->id;
      Say("XDEL " + stream + " " + ToString(id));
      server.changes.push_back(
          {.kind = StreamChange::Kind::kDelete, .stream = stream, .id = id, .event = {}, .fields = {}});
      return true;
    }
    case 9:
      if (faults_.sidecar_kills-- <= 0) return false;
      KillSidecar();
      return true;
    case 12:
      if (faults_.holds-- <= 0) return false;
      Say("HOLD");
      forwarder_->Hold({steady_ms_}, static_cast<int64_t>(random_() % 300));
      return true;
    case 13: {
      AheadStream* const held = forwarder_->FindStream(stream);
      if (held == nullptr || faults_.refills-- <= 0) return false;
      Say("REFILL " + stream);
      forwarder_->Refill(*held);
      return true;
    }
    case 10:
      if (faults_.deadlines-- <= 0) return false;
      Say("deadline");
      LoseConnection(false);
      return true;
    default:
      return false;
  }
}

void AheadWorld::Step() {
  if (Chance(4) && AnyFault()) return;
  for (AheadRedis::Server& server : redis_.servers) {
    if (Chance(8)) server.up = true;
    if (Chance(4)) server.hung = false;
    if (Chance(4)) server.refusal.clear();
  }
  if (Chance(12)) SendEvent();
  GoOn(/*in_peace=*/false);
}

bool AheadWorld::done() const {
  const auto is_sent = [](const Event& event) { return event.fate == Event::Fate::kAcknowledged; };
  if (!connection_ || !redis_.Stands(*connection_)) return false;
  // It has placed the dataset that is asked now, or it will hear within a second that there is another.
  const AheadRedis::Connection& connection = redis_.connections.at(*connection_);
  if (connection.server != redis_.active || connection.watched != redis_.servers[redis_.active].dataset) return false;
  return std::all_of(events_.begin(), events_.end(), is_sent) && commits_.empty() && forwarder_->idle();
}

bool AheadWorld::Settle() {
  for (AheadRedis::Server& server : redis_.servers) {
    server.up = true;
    server.hung = false;
    server.refusal.clear();
  }
  if (std::any_of(journal_.begin(), journal_.end(), [](const Row& row) { return row.out_of_reach; })) {
    Salvage();
    faults_.quarantines = 0;
    KillSidecar();
  }
  for (int step = 0; step < kSettlingSteps; ++step) {
    if (done()) {
      AddCounters();
      return true;
    }
    // A connection that says nothing is given up.
    if (step % 1000 == 999) LoseConnection(false);
    if (Chance(20)) SendEvent();
    GoOn(/*in_peace=*/true);
  }
  return false;
}

// ---- The promises

std::string AheadWorld::BrokenPromise() const {
  if (!broken_.empty()) return broken_;
  std::map<std::string, std::vector<const StreamChange*>> found;
  std::map<std::string, std::vector<size_t>> order;
  for (const StreamChange& change : redis_.servers[redis_.active].changes) {
    if (change.kind == StreamChange::Kind::kAdd && !change.event.empty()) found[change.event].push_back(&change);
  }
  for (const Event& event : events_) {
    if (excused_.count(event.id) > 0) continue;
    const auto& entries = found[event.id];
    if (entries.empty()) return event.id + " is lost";
    if (entries.size() > 1)
      return event.id + " is there as " + ToString(entries[0]->id) + " and as " + ToString(entries[1]->id);
    if (!foreign_ && entries[0]->id != event.told)
      return event.id + " is there as " + ToString(entries[0]->id) + ", and its client was told " +
             ToString(event.told);
  }
  if (foreign_ || !excused_.empty()) return "";
  for (const StreamChange& change : redis_.servers[redis_.active].changes) {
    if (change.kind != StreamChange::Kind::kAdd) continue;
    for (const Event& event : events_) {
      if (event.id == change.event) order[change.stream].push_back(event.order);
    }
  }
  for (const auto& [stream, rows] : order) {
    if (!std::is_sorted(rows.begin(), rows.end())) return stream + " is not in the order of acceptance";
  }
  return "";
}

}  // namespace sprockets::sim
