#include "tests/faults/simulation/sidecar_driver.h"

#include <algorithm>

#include "shared/base/overloaded.h"
#include "shared/redis/resp.h"
#include "sidecar/redis/replies.h"
#include "tests/faults/simulation/reply.h"

namespace sprockets::sim {

std::string ClientEvent::Key(const std::string& made_id) const {
  return id.empty() ? stream + "|data|" + payload + "|event_id|" + made_id
                    : stream + "|data|" + payload + "|event_id|" + id;
}

Sidecar::Sidecar(World* world, std::vector<ClientEvent>* events) : world_(world), events_(events), folder_(world) {}
Sidecar::~Sidecar() {
  if (running()) Die();
}

bool Sidecar::Start() {
  auto opened = OpenSpillFolder(folder_);
  if (!opened.ok()) return false;
  opened_ = std::make_unique<OpenedFolder>(std::move(opened).value());
  RouterOptions options;
  options.producer = std::to_string(1'000'000'000'000'000 + ++lives_);
  IdentityHasher::Key key{};
  options.earlier_life_in_flight = !opened_->state->nothing_was_in_flight();
  router_ = std::make_unique<Router>(options, IdentityHasher(key), RouterSinks{this, this, this});
  FolderReader earlier(folder_, opened_->files,
                       {.hasher = router_->hasher(),
                        .max_inflight_bytes = options.max_inflight_bytes,
                        .window_capacity = options.dedupe_window,
                        .most_unknown = Window::kMostUnknown});
  // However much of a large folder was read before the door opened: the rest is read between other things.
  size_t read_first = 1 + world_->random() % 3;
  do {
    const auto events = earlier.ReadNext();
    SPROCKETS_ASSERT(events.ok());
    router_->OnEarlierEvents(events.value(), earlier.complete());
  } while (earlier.left() > 0 && --read_first > 0);
  reads_folder_ = earlier.left() > 0;
  protocol_.emplace(RedisUrl{}, opened_->state->connections(), opened_->state->connections_lost());
  SpillStore::Options store;
  store.producer = options.producer;
  store.event_id_field = "event_id";
  store_ = std::make_unique<SpillStore>(folder_, *std::move(opened_->state), store, std::move(earlier),
                                        [this](std::vector<SpillCompletion> done) {
                                          for (SpillCompletion& completion : done)
                                            done_.push_back(std::move(completion));
                                        });
  world_->Trace("sidecar started");
  return true;
}

// As SIGTERM does it: what Redis does not answer any more goes to disk, and then nothing is in flight.
void Sidecar::Stop() {
  router_->StopSending();
  LoseConnection();
  RunDisk();
  store_->Close(router_->events_in_flight() == 0);
  world_->Trace("sidecar stops");
  Die();
}

void Sidecar::Die() {
  store_.reset();
  router_.reset();
  opened_.reset();
  for (auto& [number, file] : world_->disk.files)
    file.held_by_sidecar = false;  // as the kernel lets go of a dead process's locks
  jobs_.clear();
  done_.clear();
  expected_.clear();
  peer_.reset();
  protocol_.reset();
  for (const auto& [slot, index] : waiting_) {
    (*events_)[index].fate = ClientEvent::Fate::kClosed;
    (*events_)[index].may_be_stored = true;
  }
  waiting_.clear();
  world_->Trace("sidecar died");
}

bool Sidecar::connection_alive() const {
  return peer_ && peer_->run_id == world_->redis.run_id() && world_->redis.alive(peer_->client_id);
}

void Sidecar::SendEvent(size_t index) {
  ClientEvent& event = (*events_)[index];
  std::vector<std::string_view> args{"XADD", event.stream, "*", "data", event.payload};
  if (!event.id.empty()) args.insert(args.end(), {"event_id", event.id});
  std::string body;
  for (const std::string_view arg : args) AppendBulk(body, arg);
  event.fate = ClientEvent::Fate::kWaiting;
  const uint64_t slot = next_slot_++;
  waiting_[slot] = index;
  world_->Trace("send " + event.payload);
  router_->Accept({this, slot}, args, body, {world_->redis.now_ms}, {world_->redis.now_ms});
}

void Sidecar::Reply(uint64_t slot, std::string_view resp) {
  const auto waiting = waiting_.extract(slot);
  SPROCKETS_ASSERT(!waiting.empty());
  ClientEvent& event = (*events_)[waiting.mapped()];
  world_->Trace(resp);
  if (resp.starts_with("-RETRY")) {
    event.fate = ClientEvent::Fate::kRetry;
  } else if (resp.starts_with("-UNKNOWN")) {
    event.fate = ClientEvent::Fate::kUnknown;
    event.may_be_stored = true;
    // The answer tells the id, ours or the client's: with it the event may be sent again.
    const std::string_view rest = resp.substr(9);
    if (event.id.empty()) event.id = rest.substr(0, rest.find(' '));
  } else {
    SPROCKETS_ASSERT(resp.starts_with('$') || resp.starts_with("+0-"));
    event.fate = ClientEvent::Fate::kAcknowledged;
    event.was_acknowledged = true;
    if (resp.starts_with('+')) event.ticket = resp;
  }
}

// Its answers come at once, unless the handshake pauses.
void Sidecar::Connect() {
  Redis& redis = world_->redis;
  if (!peer_) {
    if (!redis.up || redis.stopped) return;
    peer_ = ConnectionId{redis.run_id(), redis.Accept()};
    Ask(protocol_->Begin());
  }
  while (peer_ && !ready() && !redis.stopped && !world_->Chance(world_->faults.handshake_pauses)) {
    if (expected_.empty()) return RunDisk();
    if (connection_alive() && !has_replies()) redis.ApplyOne(peer_->client_id);
    TakeReply();
  }
}

void Sidecar::Transmit(std::string command, Expected expected) {
  expected_.push_back(expected);
  if (connection_alive()) world_->redis.peers[peer_->client_id].sent.push_back(std::move(command));
}

void Sidecar::Send(const PendingEvent& event) {
  Transmit(event.wire, OfXadd{});
}

void Sidecar::ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) {
  const std::string end = before ? "(" + ToString(*before) : "+";
  Transmit(MakeCommand({"XREVRANGE", stream.name, end, "-", "COUNT", std::to_string(count)}), OfTail{&stream, count});
}

bool Sidecar::has_replies() const {
  return connection_alive() && !world_->redis.peers[peer_->client_id].replies.empty();
}

void Sidecar::TakeReply() {
  if (peer_ && !connection_alive()) return LoseConnection();
  if (!has_replies()) return;
  auto& replies = world_->redis.peers[peer_->client_id].replies;
  const std::string resp = std::move(replies.front());
  replies.pop_front();
  world_->Trace(resp);
  const Expected expected = expected_.front();
  expected_.pop_front();
  const RedisClient::Reply reply = ParseReply(resp);
  std::visit([&](const auto& whose) { Take(whose, *reply); }, expected);
}

void Sidecar::Take(OfXadd, const redisReply& reply) {
  if (IsError(reply)) return router_->OnError(TextIn(reply), {world_->redis.now_ms});
  router_->OnLanded(TextIn(reply));
}

void Sidecar::Take(OfTail tail, const redisReply& reply) {
  if (IsError(reply)) return router_->OnTailError(*tail.stream, TextIn(reply), {world_->redis.now_ms});
  const auto entries = EntriesIn(reply);
  SPROCKETS_ASSERT(entries);
  const bool more = entries->size() == static_cast<size_t>(tail.count);
  router_->OnTail(*tail.stream, *entries, more, {world_->redis.now_ms});
}

void Sidecar::Take(OfProtocol, const redisReply& reply) {
  Follow(protocol_->TakeAnswer(AnswerIn(reply)));
}

void Sidecar::Ask(const LinkProtocol::Commands& commands) {
  for (const std::string& command : commands) Transmit(command, OfProtocol{});
}

void Sidecar::Follow(const LinkProtocol::Step& step) {
  std::visit([this](const auto& each) { Do(each); }, step);
}

void Sidecar::Do(const RecordJob& job) {
  world_->Step("sidecar: fenced");
  jobs_.emplace_back(job);
}

void Sidecar::Do(const LinkProtocol::Ready& ready) {
  router_->OnConnectionReady(ready.self, ready.earlier_fenced);
}

void Sidecar::Do(const LinkProtocol::Probed& probed) {
  probed.passed ? router_->OnProbePassed() : router_->OnProbeFailed();
}

void Sidecar::LoseConnection() {
  if (!peer_) return;
  const bool was_ready = ready();
  peer_.reset();
  expected_.clear();
  protocol_->End();
  world_->Trace("connection lost");
  if (!was_ready) return;
  jobs_.emplace_back(ForgetLiveJob{});
  router_->OnConnectionLost();
}

void Sidecar::RunDisk() {
  if (reads_folder_ && world_->random() % 8 == 0) jobs_.emplace_back(ReadFolderJob{});
  std::vector<SpillJob> jobs = std::exchange(jobs_, {});
  store_->Process(jobs);
  while (!done_.empty()) {
    SpillCompletion completion = std::move(done_.front());
    done_.pop_front();
    std::visit(Overloaded{
                   [this](SpillOutcome& outcome) { router_->OnSpillOutcome(std::move(outcome)); },
                   [this](const Recorded& recorded) { Follow(protocol_->TakeRecorded(recorded)); },
                   [](const Sealed&) {},
                   [](const Described&) {},
                   [this](const FolderRead& read) {
                     router_->OnEarlierEvents(read.events, read.complete);
                     reads_folder_ = read.left > 0;
                   },
                   [](LandedNoted) {},
                   [](const JournalBlocked&) {},
               },
               completion);
  }
}

bool Sidecar::probing() const {
  return std::any_of(expected_.begin(), expected_.end(),
                     [](const Expected& expected) { return std::holds_alternative<OfProtocol>(expected); });
}

void Sidecar::Probe() {
  if (!ready() || router_->breaker().closed() || probing()) return;
  Ask(protocol_->Probe());
}

Status Sidecar::SealNow() {
  jobs_.emplace_back(SealJob{});
  RunDisk();
  return {};
}

bool Sidecar::quiet() const {
  return waiting_.empty();
}

}  // namespace sprockets::sim
