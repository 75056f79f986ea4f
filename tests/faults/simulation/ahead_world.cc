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
constexpr int kSettlingSteps = 20'000;

}  // namespace

AheadWorld::AheadWorld(uint64_t seed, size_t events, AheadFaults faults)
    : world_(seed), faults_(faults), redis_(faults.fail_overs > 0 ? 2 : 1), sidecar_(&world_, this, this, this) {
  world_.redis.now_ms = 10'000;  // the wall's clock, which jumps
  world_.kill_at_step = faults.kill_at_step;
  for (size_t i = 0; i < events; ++i)
    events_.push_back(
        {.stream = "stream" + std::to_string(Random() % kStreams), .id = "event" + std::to_string(i), .told = {}});
  SetDiskFaults(/*in_peace=*/false);
  Start();
}

void AheadWorld::Say(const std::string& what) {
  world_.Trace(what);
}

// ---- The sidecar's life

// The disk may be where it dies.
void AheadWorld::Alive(const std::function<void()>& action) {
  if (!sidecar_.running()) return;
  try {
    world_.in_process = true;
    action();
    world_.in_process = false;
  } catch (const Killed&) {
    world_.in_process = false;
    if (world_.faults.kill > 0) --faults_.sidecar_kills;
    KillSidecar();
  }
}

void AheadWorld::SetDiskFaults(bool in_peace) {
  Faults& disk = world_.faults;
  disk.kill = !in_peace && faults_.sidecar_kills > 0 ? 8 : 0;
  disk.commit_fails = disk.commit_fails_but_appears = !in_peace && faults_.commit_failures > 0 ? 50 : 0;
  disk.marker_fails = disk.record_fails = disk.commit_fails;
  disk.append_fails = !in_peace && faults_.append_failures > 0 ? 50 : 0;
}

void AheadWorld::Start() {
  Say("sidecar starts");
  options_.forwarder.flight.rows = 1 + Random() % 6;
  options_.forwarder.fresh_bytes = Random() % 2 == 0 ? 600 : 1 << 20;
  options_.retain_ms = faults_.retain_ms;
  try {
    world_.in_process = true;
    if (!sidecar_.Start(options_)) sidecar_.Die();
    world_.in_process = false;
  } catch (const Killed&) {
    world_.in_process = false;
    sidecar_.Die();
  }
}

// A file turns out to be damaged at a start, and its rows are out of reach until somebody salvages it. An event that
// was not answered, and comes again meanwhile, is a new one; so only files of others are taken.
void AheadWorld::Quarantine() {
  std::vector<DiskFile*> files;
  for (auto& [number, file] : world_.disk.files) {
    if (MayBeQuarantined(file)) files.push_back(&file);
  }
  if (files.empty()) return;
  files[Random() % files.size()]->info.quarantined = true;
  Say("a file is damaged");
  foreign_ = true;  // order is not kept, nor are ids
}

bool AheadWorld::MayBeQuarantined(const DiskFile& file) const {
  std::set<int64_t> moved;
  for (const auto& [number, each] : world_.disk.files) {
    for (const DiskStream& stream : each.streams) {
      for (const DiskRow& row : stream.rows) {
        if (row.origin != 0) moved.insert({row.origin, row.ticket});
      }
    }
  }
  const auto is_acknowledged = [&](const DiskRow& row) {
    return std::any_of(events_.begin(), events_.end(), [&](const Event& event) {
      return event.id == row.fields[row.event_id_at] && event.fate == Event::Fate::kAcknowledged;
    });
  };
  for (const DiskStream& stream : file.streams) {
    for (const DiskRow& row : stream.rows) {
      if (moved.count(row.ticket) > 0 || !is_acknowledged(row)) return false;
    }
  }
  return !file.info.quarantined && !file.info.suspect;
}

// As `drain --salvage`: what is good comes into a new file, in doubt. True: there was something to salvage.
bool AheadWorld::Salvage() {
  const auto files = world_.disk.files;
  bool any = false;
  for (const auto& [number, file] : files) {
    if (!file.info.quarantined) continue;
    any = true;
    DiskFile salvaged = file;
    world_.disk.files.erase(number);
    const int64_t next = std::max(number, world_.disk.files.empty() ? 0 : world_.disk.files.rbegin()->first) + 1;
    salvaged.info.number = next;
    salvaged.info.quarantined = false;
    salvaged.info.state = SpillFileInfo::State::kSealed;
    salvaged.info.path = SimulatedFolder(&world_).PathOf(next, SpillFileInfo::State::kSealed);
    for (DiskStream& stream : salvaged.streams) {
      for (DiskRow& row : stream.rows) row.doubt = Doubt{kStreamBegin, std::nullopt};
    }
    world_.disk.files[next] = std::move(salvaged);
  }
  return any;
}

void AheadWorld::AddCounters() {
  if (!sidecar_.running()) return;
  const ForwarderCounters& counters = sidecar_.forwarder().counters();
  totals_.overtaken += counters.overtaken;
  totals_.unproven += counters.unproven;
  totals_.refills += counters.refills;
}

void AheadWorld::KillSidecar() {
  Say("sidecar is killed");
  if (connection_ && redis_.Stands(*connection_)) redis_.Abandon(*connection_);
  connection_.reset();
  AddCounters();
  sidecar_.Die();
  for (Event& event : events_) {
    if (event.fate == Event::Fate::kWaiting) event.fate = Event::Fate::kUnsent;
  }
  asked_.clear();
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
  if (unsent.empty() || !sidecar_.running()) return;
  const size_t index = unsent[Random() % unsent.size()];
  Event& event = events_[index];
  const std::string most = std::to_string(faults_.most);
  std::vector<std::string_view> xadd{"XADD", event.stream};
  if (faults_.most > 0) xadd.insert(xadd.end(), {"MAXLEN", most});
  xadd.insert(xadd.end(), {"*", "event_id", event.id});
  event.fate = Event::Fate::kWaiting;
  ++event.tries;
  event.slot = next_slot_++;
  asked_[event.slot] = index;
  Say("sends " + event.id + " to " + event.stream);
  sidecar_.Accept(event.slot, xadd, {steady_ms_});
}

void AheadWorld::Answered(uint64_t slot, std::string_view resp) {
  const auto asked = asked_.extract(slot);
  SPROCKETS_ASSERT(!asked.empty());
  Event& event = events_[asked.mapped()];
  if (resp.starts_with("-RETRY") || resp.starts_with("-UNKNOWN")) {
    event.fate = Event::Fate::kUnsent;
    return;
  }
  SPROCKETS_ASSERT(resp.starts_with('$'));
  const std::string_view id = resp.substr(resp.find('\n') + 1);
  event.told = *ParseStreamId(id.substr(0, id.size() - 2));
  event.fate = Event::Fate::kAcknowledged;
  Say(event.id + " is acknowledged as " + ToString(event.told));
}

// ---- What the forwarder asks for

void AheadWorld::Send(std::string_view commands, size_t) {
  if (sidecar_.forwarder().hold_until() && commands.find("XADD") != std::string_view::npos)
    broken_ = "a held event is sent";
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

void AheadWorld::Moves() {
  if (sidecar_.forwarder().hold_until()) broken_ = "an event is moved during a hold";
}

void AheadWorld::Rejects(const std::string& event_id) {
  excused_.insert(event_id);
  Say(event_id + " is rejected");
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
  if (sidecar_.running()) sidecar_.forwarder().OnDisconnected(by_server);
}

void AheadWorld::TakeReply() {
  if (!connection_) return;
  if (!redis_.Stands(*connection_)) return LoseConnection(/*by_server=*/true);
  AheadRedis::Connection& connection = redis_.connections.at(*connection_);
  if (connection.replies.empty()) return;
  const auto reply = ParseReply(connection.replies.front());
  connection.replies.pop_front();
  sidecar_.forwarder().OnAnswer(WholeAnswer(*reply), {steady_ms_});
}

// What goes on by itself.
void AheadWorld::GoOn(bool in_peace) {
  steady_ms_ += static_cast<int64_t>(Random() % 20);
  if (Chance(30)) world_.redis.now_ms += 1;
  if (!sidecar_.running()) Start();
  SetDiskFaults(in_peace);
  switch (Random() % 9) {
    case 0:
      if (!connection_ && active().up && !active().hung && sidecar_.running()) {
        connection_ = redis_.Connect();
        Say("sidecar connects to server " + std::to_string(redis_.active));
        Alive([this] { sidecar_.forwarder().OnConnected(); });
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
        const size_t count = 1 + Random() % 4;
        for (size_t i = 0; i < count && redis_.Stands(id) && !redis_.connections.at(id).sent.empty(); ++i)
          redis_.Apply(id);
      }
      break;
    case 3:
      Alive([this] { TakeReply(); });
      break;
    case 4:
      if (!in_peace && world_.faults.commit_fails > 0 && Chance(20)) --faults_.commit_failures;
      Alive([this] { sidecar_.RunDisk(); });
      break;
    case 5:
      Alive([this] { sidecar_.GivePage(); });
      break;
    case 6:
      Alive([this] { sidecar_.forwarder().Tick({steady_ms_}, static_cast<uint64_t>(Now())); });
      break;
    case 7:
      if (Chance(30)) Alive([this] { sidecar_.NoteMarks(); });
      break;
    case 8:
      if (Chance(20)) Alive([this] { sidecar_.EverySecond({steady_ms_}); });
      if (Chance(5)) Alive([this] { sidecar_.Seal(); });
      break;
  }
  // An abandoned connection to a server that has moved on, or our own to one that is not asked any more.
  if (in_peace && connection_ && redis_.Stands(*connection_) &&
      redis_.connections.at(*connection_).server != redis_.active)
    LoseConnection(false);
}

bool AheadWorld::AnyFault() {
  AheadRedis::Server& server = active();
  const std::string stream = "stream" + std::to_string(Random() % kStreams);
  switch (Random() % 14) {
    case 0:
      if (faults_.redis_kills-- <= 0 || !server.up) return false;
      Say("kill -9 of Redis");
      redis_.CrashAndLose(Chance(20) ? server.changes.size() : Random() % 4);
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
      redis_.FailOver(Random() % 3);
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
            NextEntryId(static_cast<EntryTag>(1 + Random() % kMostEntryTag), top, static_cast<uint64_t>(Now()));
        redis_.AddForeign(stream, *id);
      }
      return true;
    case 6:
      if (faults_.clock_jumps-- <= 0) return false;
      world_.redis.now_ms += static_cast<int64_t>(Random() % 13) - 6;
      return true;
    case 7:
      if (faults_.trims-- <= 0 || !server.up) return false;
      Say("XTRIM " + stream);
      server.changes.push_back({.kind = StreamChange::Kind::kTrim,
                                .stream = stream,
                                .id = {},
                                .event = {},
                                .most = Random() % 3,
                                .fields = {}});
      return true;
    case 8: {
      const AheadRedis::View view = redis_.Look(redis_.active, stream);
      if (view.entries.empty() || faults_.deletes-- <= 0 || !server.up) return false;
      const StreamId id = view.entries[Random() % view.entries.size()]->id;
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
      if (sidecar_.running()) sidecar_.forwarder().Hold({steady_ms_}, static_cast<int64_t>(Random() % 300));
      return true;
    case 13: {
      AheadStream* const held = sidecar_.running() ? sidecar_.forwarder().FindStream(stream) : nullptr;
      if (held == nullptr || faults_.refills-- <= 0) return false;
      Say("REFILL " + stream);
      sidecar_.forwarder().Refill(*held);
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
  if (!connection_ || !redis_.Stands(*connection_) || !sidecar_.running()) return false;
  // It has placed the dataset that is asked now, or it will hear within a second that there is another.
  const AheadRedis::Connection& connection = redis_.connections.at(*connection_);
  if (connection.server != redis_.active || connection.watched != redis_.servers[redis_.active].dataset) return false;
  return std::all_of(events_.begin(), events_.end(), is_sent) && sidecar_.quiet() && sidecar_.forwarder().idle();
}

bool AheadWorld::Settle() {
  for (AheadRedis::Server& server : redis_.servers) {
    server.up = true;
    server.hung = false;
    server.refusal.clear();
  }
  SetDiskFaults(/*in_peace=*/true);
  world_.kill_at_step = -1;
  faults_.quarantines = 0;
  if (Salvage()) KillSidecar();
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
  // The entries have the ids that were told, so these say in which order they stand. Of an event that was sent again
  // nobody knows when it was accepted.
  std::vector<const Event*> accepted;
  for (const Event& event : events_) {
    if (event.tries == 1) accepted.push_back(&event);
  }
  std::sort(accepted.begin(), accepted.end(), [](const Event* a, const Event* b) { return a->slot < b->slot; });
  std::map<std::string, StreamId> last;
  for (const Event* event : accepted) {
    if (event->told < std::exchange(last[event->stream], event->told))
      return event->stream + " is not in the order of acceptance";
  }
  return "";
}

}  // namespace sprockets::sim
