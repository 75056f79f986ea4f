#include "tests/faults/simulation/sidecar_driver.h"

#include <hiredis/hiredis.h>

#include "shared/base/overloaded.h"
#include "shared/redis/resp.h"

namespace sprockets::sim {

std::string ClientEvent::Key(const std::string& made_id) const {
  return id.empty() ? stream + "|data|" + payload + "|event_id|" + made_id
                    : stream + "|data|" + payload + "|event_id|" + id;
}

Sidecar::Sidecar(World* world, std::vector<ClientEvent>* events) : world_(world), events_(events) {}
Sidecar::~Sidecar() {
  if (running()) Die();
}

bool Sidecar::Start() {
  auto opened = OpenSpillFolder("sim");
  if (!opened.ok()) return false;
  opened_ = std::make_unique<OpenedFolder>(std::move(opened).value());
  RouterOptions options;
  options.producer = std::to_string(1'000'000'000'000'000 + ++lives_);
  std::array<uint8_t, 32> key{};
  options.earlier_life_in_flight = !opened_->state->nothing_was_in_flight();
  router_ = std::make_unique<Router>(options, IdentityHasher(key), RouterSinks{this, this, this});
  auto earlier = FolderReader::Open(opened_->folder, {.hasher = router_->hasher(),
                                                      .max_inflight_bytes = options.max_inflight_bytes,
                                                      .window_capacity = options.dedupe_window,
                                                      .most_unknown = Window::kMostUnknown});
  SPROCKETS_ASSERT(earlier.ok());
  // However much of a large folder was read before the door opened: the rest is read between other things.
  size_t read_first = 1 + world_->random() % 3;
  do {
    const auto events = earlier.value().ReadNext();
    SPROCKETS_ASSERT(events.ok());
    router_->OnEarlierEvents(events.value(), earlier.value().complete());
  } while (earlier.value().left() > 0 && --read_first > 0);
  reads_folder_ = earlier.value().left() > 0;
  written_down_ = opened_->state->connections();
  earlier_lost_ = opened_->state->connections_lost();
  SpillStore::Options store;
  store.producer = options.producer;
  store.event_id_field = "event_id";
  store_ = std::make_unique<SpillStore>(opened_->folder, *std::move(opened_->state), store, std::move(earlier).value(),
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
  if (connection_alive()) world_->redis.peers[connection_->client_id].sender_gone = true;
  store_.reset();
  router_.reset();
  opened_.reset();
  for (auto& [number, file] : world_->disk.files)
    file.held_by_sidecar = false;  // as the kernel lets go of a dead process's locks
  jobs_.clear();
  done_.clear();
  expected_.clear();
  connection_.reset();
  for (const auto& [slot, index] : waiting_) {
    (*events_)[index].fate = ClientEvent::Fate::kClosed;
    (*events_)[index].may_be_stored = true;
  }
  waiting_.clear();
  world_->Trace("sidecar died");
}

bool Sidecar::connection_alive() const {
  return connection_ && connection_->run_id == world_->redis.run_id() && world_->redis.alive(connection_->client_id);
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

// As RedisLink does it: fence what earlier connections may still deliver, be written down, and only then carry events.
void Sidecar::Connect() {
  if (connection_ || !world_->redis.up || world_->redis.stopped) return;
  RunDisk();
  const ConnectionId self{world_->redis.run_id(), world_->redis.Accept()};
  std::vector<ConnectionId> dead;
  for (const ConnectionId& connection : written_down_) {
    if (connection == self) continue;
    if (connection.run_id == self.run_id) world_->redis.Kill(connection.client_id);
    dead.push_back(connection);
  }
  world_->Step("sidecar: fenced");
  connecting_ = self;
  jobs_.emplace_back(RecordJob{self, dead});
  RunDisk();
}

void Sidecar::Send(const PendingEvent& event) {
  expected_.push_back({});
  if (connection_alive()) world_->redis.peers[connection_->client_id].sent.push_back(event.wire);
}

void Sidecar::ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) {
  expected_.push_back({&stream, count});
  if (!connection_alive()) return;
  const std::string end = before ? "(" + ToString(*before) : "+";
  const std::string count_text = std::to_string(count);
  std::string wire;
  AppendCommand(wire, std::vector<std::string_view>{"XREVRANGE", stream.name, end, "-", "COUNT", count_text});
  world_->redis.peers[connection_->client_id].sent.push_back(std::move(wire));
}

bool Sidecar::has_replies() const {
  return connection_alive() && !world_->redis.peers[connection_->client_id].replies.empty();
}

void Sidecar::TakeReply() {
  if (connection_ && !connection_alive()) return LoseConnection();
  if (!has_replies()) return;
  auto& replies = world_->redis.peers[connection_->client_id].replies;
  const std::string reply = std::move(replies.front());
  replies.pop_front();
  Deliver(reply);
}

void Sidecar::Deliver(const std::string& resp) {
  const Expected expected = expected_.front();
  expected_.pop_front();
  world_->Trace(resp);
  const std::string_view line(resp.data(), resp.find('\r'));
  if (expected.tail_of == nullptr) {
    if (line.starts_with('-')) return router_->OnError(line.substr(1), {world_->redis.now_ms});
    return router_->OnLanded(std::string_view(resp).substr(line.size() + 2, resp.size() - line.size() - 4));
  }
  if (line.starts_with('-')) return router_->OnTailError(*expected.tail_of, line.substr(1), {world_->redis.now_ms});
  redisReader* reader = redisReaderCreate();
  void* parsed = nullptr;
  redisReaderFeed(reader, resp.data(), resp.size());
  SPROCKETS_ASSERT(redisReaderGetReply(reader, &parsed) == REDIS_OK);
  redisReaderFree(reader);
  auto* reply = static_cast<redisReply*>(parsed);
  std::vector<TailEntry> entries;
  for (size_t i = 0; i < reply->elements; ++i) {
    const redisReply& entry = *reply->element[i];
    TailEntry tail{*ParseStreamId(entry.element[0]->str), {}};
    for (size_t f = 0; f < entry.element[1]->elements; ++f) tail.fields.emplace_back(entry.element[1]->element[f]->str);
    entries.push_back(std::move(tail));
  }
  router_->OnTail(*expected.tail_of, entries, entries.size() == static_cast<size_t>(expected.count),
                  {world_->redis.now_ms});
  freeReplyObject(reply);
}

void Sidecar::LoseConnection() {
  if (!connection_) return;
  if (connection_alive()) world_->redis.peers[connection_->client_id].sender_gone = true;
  connection_.reset();
  expected_.clear();
  world_->Trace("connection lost");
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
                   [this](const Recorded& recorded) {
                     if (recorded.ok) OnRecorded(recorded);
                   },
                   [](const Sealed&) {},
                   [](const Described&) {},
                   [this](const FolderRead& read) {
                     router_->OnEarlierEvents(read.events, read.complete);
                     reads_folder_ = read.left > 0;
                   },
               },
               completion);
  }
}

void Sidecar::OnRecorded(const Recorded& recorded) {
  written_down_ = recorded.connections;
  earlier_lost_ = recorded.connections_lost;
  connection_ = connecting_;
  router_->OnConnectionReady(connecting_, !earlier_lost_ && written_down_.size() == 1);
}

void Sidecar::Probe() {
  if (!connection_ || router_->breaker().closed()) return;
  router_->breaker().OnProbe();
  world_->redis.refusal.empty() ? router_->OnProbePassed() : router_->OnProbeFailed();
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
