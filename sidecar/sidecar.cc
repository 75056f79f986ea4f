#include "sidecar/sidecar.h"

#include <algorithm>
#include <csignal>
#include <sched.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <sodium.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "sidecar/core/made_id.h"

namespace sprockets {

namespace {

constexpr int64_t kReadBeforeOpeningMs = 2'000;  // of a large spill folder; the rest is read while clients are served
constexpr int64_t kReadAgainSeconds = 5;
constexpr int64_t kReportPatienceMs = 1'000;  // then STATUS is answered without the disk
constexpr int64_t kLogEverySeconds = 10;      // at most one line on events that do not go straight to Redis
constexpr int64_t kStopMs = 5'000;  // for answers that clients do not fetch; the disk gets all the time it needs

// Nobody shares it: 64 random bits.
std::string RandomProducer() {
  SPROCKETS_ASSERT(sodium_init() >= 0);
  unsigned char bytes[kProducerChars / 2];
  randombytes_buf(bytes, sizeof bytes);
  char text[kProducerChars + 1];
  sodium_bin2hex(text, sizeof text, bytes, sizeof bytes);
  return text;
}

// A client a descriptor: as many as the system lets us have.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// From here on nobody handles them, and a second SIGTERM must not find its default, death, while we put things away.
void HoldStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int ExitCodeOf(const Error& error) {
  if (error.code == ErrorCode::kUsage) return kSidecarUsage;
  return error.code == ErrorCode::kForeign ? kSidecarRefused : kSidecarUnusable;
}

}  // namespace

Sidecar::Sidecar(SidecarConfig config) : config_(std::move(config)) {
  SPROCKETS_ASSERT(uv_loop_init(&loop_) == 0);
}

Sidecar::~Sidecar() {
  SPROCKETS_ASSERT(uv_loop_close(&loop_) == 0);
}

int Sidecar::Run() {
  RaiseDescriptorLimit();
  const Status opened = Open();
  if (opened.ok()) {
    uv_run(&loop_, UV_RUN_DEFAULT);
  } else {
    LogError("cannot-start", {{"error", opened.error().message}});
    exit_code_ = ExitCodeOf(opened.error());
  }
  CloseLoop();
  return exit_code_;
}

// The door opens last: whoever gets in finds everything standing.
Status Sidecar::Open() {
  ASSIGN_OR_RETURN(OpenedFolder opened, OpenSpillFolder(config_.spill_dir));
  lock_ = std::move(opened.lock);

  RouterOptions options;
  options.event_id_field = config_.event_id_field;
  options.producer = RandomProducer();
  options.max_inflight_bytes = config_.max_inflight_bytes;
  options.max_spill_queue_bytes = config_.max_inflight_bytes;
  options.max_event_bytes = config_.max_event_bytes;
  options.max_streams = config_.max_streams;
  options.dedupe_window = config_.dedupe_window;
  options.stream_globs = config_.streams;
  options.earlier_life_in_flight = !opened.state->nothing_was_in_flight();
  router_ = std::make_unique<Router>(options, IdentityHasher(), RouterSinks{this, this, this});
  ASSIGN_OR_RETURN(FolderReader earlier, ReadEarlierLives(opened.folder));
  link_ = std::make_unique<RedisLink>(&loop_, RedisLink::Options{config_.redis, config_.redis_timeout_ms},
                                      opened.state->connections(), opened.state->connections_lost(),
                                      static_cast<RedisLinkEvents*>(this));
  spilled_.reset(new uv_async_t);
  SPROCKETS_ASSERT(uv_async_init(&loop_, spilled_.get(), [](uv_async_t* async) {
                     if (async->data != nullptr) static_cast<Sidecar*>(async->data)->CollectSpilled();
                   }) == 0);
  spilled_->data = this;
  SpillStore::Options spill;
  spill.producer = options.producer;
  spill.event_id_field = config_.event_id_field;
  spill.database = config_.redis.database;
  spill.server = config_.redis.Server();
  spill.spill_file_bytes = config_.spill_file_bytes;
  spill.spill_max_bytes = config_.spill_max_bytes;
  spill.most_doubt_bytes = config_.max_inflight_bytes;
  const bool read_on = earlier.left() > 0;
  const auto make_store = [&](SpillStore::Post post) {
    return std::make_unique<SpillStore>(opened.folder, *std::move(opened.state), spill, std::move(earlier),
                                        std::move(post));
  };
  spill_ = std::make_unique<SpillThread>(make_store, [async = spilled_.get()] { uv_async_send(async); });
  if (read_on) spill_->Queue(ReadFolderJob{});

  end_of_turn_.reset(new uv_prepare_t);
  uv_prepare_init(&loop_, end_of_turn_.get());
  end_of_turn_->data = this;
  uv_prepare_start(end_of_turn_.get(), [](uv_prepare_t* prepare) { static_cast<Sidecar*>(prepare->data)->EndTurn(); });
  every_second_ = std::make_unique<UvTimer>(&loop_, [this] { EverySecond(); });
  every_second_->Start(1000, 1000);
  fence_wait_ = std::make_unique<UvTimer>(&loop_, [this] { router_->OnEarlierFenced(); });
  stop_timer_ = std::make_unique<UvTimer>(&loop_, [this] { uv_stop(&loop_); });
  for (auto [handle, number] : {std::pair{&sigterm_, SIGTERM}, {&sigint_, SIGINT}}) {
    handle->reset(new uv_signal_t);
    uv_signal_init(&loop_, handle->get());
    (*handle)->data = this;
    uv_signal_start(
        handle->get(), [](uv_signal_t* signal, int) { static_cast<Sidecar*>(signal->data)->BeginStop(); }, number);
  }
  clients_ =
      std::make_unique<Clients>(router_.get(), static_cast<AdminCommands*>(this), &clock_, config_.max_event_bytes);
  ASSIGN_OR_RETURN(listener_, Listener::Open(&loop_, config_.socket, config_.socket_mode,
                                             [this](UvHandle<uv_pipe_t> pipe) { clients_->Add(std::move(pipe)); }));
  link_->Start();
  LogInfo("listening", {{"socket", config_.socket},
                        {"redis", config_.redis.ForLogs()},
                        {"spill_dir", config_.spill_dir},
                        {"producer", options.producer}});
  return {};
}

// What there is time for before the door opens.
Result<FolderReader> Sidecar::ReadEarlierLives(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(FolderReader reader, FolderReader::Open(folder, {.hasher = router_->hasher(),
                                                                    .max_inflight_bytes = config_.max_inflight_bytes,
                                                                    .window_capacity = config_.dedupe_window,
                                                                    .most_unknown = Window::kMostUnknown}));
  const int64_t until_ms = SteadyClockMs() + kReadBeforeOpeningMs;
  do {
    ASSIGN_OR_RETURN(const EarlierEvents events, reader.ReadNext());
    router_->OnEarlierEvents(events, reader.complete());
  } while (reader.left() > 0 && SteadyClockMs() < until_ms);
  folder_read_ = reader.done();
  if (reader.left() > 0) LogInfo("spill-folder-read-on", {{"files_left", reader.left()}});
  return reader;
}

// Everything is closed, so that the loop can prove that nothing was forgotten.
void Sidecar::CloseLoop() {
  if (listener_) listener_->Close();
  if (spill_) {
    spill_->Join(/*nothing_in_flight=*/router_->events_in_flight() == 0);
    CollectSpilled();
  }
  if (clients_) clients_->Close();
  link_.reset();
  spilled_.reset();
  end_of_turn_.reset();
  HoldStopSignals();
  sigterm_.reset();
  sigint_.reset();
  every_second_.reset();
  fence_wait_.reset();
  stop_timer_.reset();
  listener_.reset();
  uv_run(&loop_, UV_RUN_DEFAULT);
  clients_.reset();
  if (router_) {
    const RouterCounters& counters = router_->counters();
    LogInfo("stopped", {{"accepted", counters.accepted},
                        {"landed", counters.landed},
                        {"spilled", counters.spilled},
                        {"in_doubt", counters.in_doubt}});
  }
}

// ---- Turns of the loop

void Sidecar::EndTurn() {
  clock_.ReadWall();
  clients_->Resume();
  link_->Flush();
  spill_->Submit();
  clients_->Flush();
  if (stopping_) ContinueStop();
  // Redis and the clients may be waiting for our core with the very work that we are about to wait for. Letting them go
  // first makes larger turns of it, and leaves Redis less often without work.
  sched_yield();
}

void Sidecar::CollectSpilled() {
  for (SpillCompletion& completion : spill_->Collect()) {
    if (auto* outcome = std::get_if<SpillOutcome>(&completion)) {
      router_->OnSpillOutcome(std::move(*outcome));
    } else if (auto* recorded = std::get_if<Recorded>(&completion)) {
      link_->OnRecorded(recorded->ok, recorded->why, recorded->connections, recorded->connections_lost);
    } else if (auto* sealed = std::get_if<Sealed>(&completion)) {
      seal_requested_ = false;
      first_spill_ms_ = 0;
      const auto waiting = admin_waiting_.extract(sealed->token);
      if (waiting.empty()) continue;
      std::string reply;
      if (!sealed->status.ok()) {
        AppendError(reply, "ERR " + Escape(sealed->status.error().message));
      } else {
        AppendSimple(reply, sealed->name.empty() ? "nothing to seal" : sealed->name);
      }
      waiting.mapped().Reply(reply);
    } else if (auto* described = std::get_if<Described>(&completion)) {
      describing_ = false;
      described_ms_ = clock_.Wall().ms;
      last_report_ = std::move(described->report);
      AnswerWaitingStatus();
    } else if (auto* read = std::get_if<FolderRead>(&completion)) {
      router_->OnEarlierEvents(read->events, read->complete);
      if (read->left > 0) spill_->Queue(ReadFolderJob{});
      if (read->done && !std::exchange(folder_read_, true)) LogInfo("spill-folder-read", {});
    }
  }
}

void Sidecar::EverySecond() {
  clients_->CheckStalls();
  // The disk may hang: then what was known last has to do.
  if (describing_ && clock_.Now().ms - asked_ms_ >= kReportPatienceMs) AnswerWaitingStatus();
  if (++seconds_ % kLogEverySeconds == 0) LogDegradation();
  // What could not be read at the start, perhaps it can be now.
  if (!folder_read_ && seconds_ % kReadAgainSeconds == 0) spill_->Queue(ReadFolderJob{});
  SealFacts facts;
  facts.now_ms = clock_.Now().ms;
  facts.rows = spill_->active_rows();
  facts.healthy_since_ms = router_->breaker().closed() ? link_->ready_since_ms() : 0;
  facts.first_spill_ms = first_spill_ms_;
  facts.last_spill_ms = last_spill_ms_;
  const bool due = ShouldSeal(facts, config_.seal_after_ms) || spill_->unmarked() > 0;
  if (!seal_requested_ && !stopping_ && due) {
    seal_requested_ = true;
    spill_->Queue(SealJob{});
  }
}

// While events take another way than to Redis, a line now and then says how many.
void Sidecar::LogDegradation() {
  const RouterCounters& now = router_->counters();
  const bool changed = now.spilled != last_counters_.spilled || now.refused != last_counters_.refused ||
                       now.unknown != last_counters_.unknown;
  if (!changed) return;
  LogWarning("spilling", {{"spilled", now.spilled - last_counters_.spilled},
                          {"in_doubt", now.in_doubt - last_counters_.in_doubt},
                          {"retry", now.refused - last_counters_.refused},
                          {"unknown", now.unknown - last_counters_.unknown},
                          {"rows", spill_->active_rows()},
                          {"last_refusal", router_->last_refusal()},
                          {"other_payload", now.other_payload}});
  last_counters_ = now;
}

// ---- Stopping: nothing new is taken; what is in flight is resolved or spilled, and answered; the file is sealed.

void Sidecar::BeginStop() {
  if (stopping_) return;  // a second signal changes nothing: we are on our way, and nothing may be lost
  stopping_ = true;
  LogInfo("stopping", {{"unanswered", router_->events_unanswered()}});
  listener_->Close();
  clients_->StopReading();
  router_->StopSending();
  // Redis keeps its deadline: no answer within --redis-timeout ends the connection, and the rest is spilled.
  link_->Stop(false);
  stop_timer_->Start(config_.redis_timeout_ms + kStopMs);
}

void Sidecar::ContinueStop() {
  if (router_->events_unanswered() > 0 || !admin_waiting_.empty() || !status_waiting_.empty())
    return stop_timer_->Start(kStopMs);
  if (clients_->all_idle()) uv_stop(&loop_);
}

// ---- The router's effects

void Sidecar::Spill(SpillRequest request) {
  last_spill_ms_ = clock_.Now().ms;
  if (first_spill_ms_ == 0) first_spill_ms_ = last_spill_ms_;
  spill_->Queue(std::move(request));
}

void Sidecar::ProbeRedis(std::string_view why) {
  if (!std::exchange(redis_refuses_, true)) {
    LogWarning("redis-refuses", {{"server", config_.redis.ForLogs()}, {"why", why}});
  }
  link_->ProbeLater();
}

void Sidecar::UnknownForgotten() {
  LogWarning("unknown-forgotten",
             {{"cost", "until the next start, events with an id that is not in the window are spilled"}});
}

void Sidecar::StreamRefused(const StreamState& stream, std::string_view why) {
  LogWarning("stream-refused", {{"stream", stream.name}, {"why", why}});
}

void Sidecar::StreamAcceptedAgain(const StreamState& stream) {
  LogInfo("stream-accepted-again", {{"stream", stream.name}});
}

// ---- The link's events

void Sidecar::OnLinkReady(const ConnectionId& connection, bool earlier_fenced) {
  redis_since_ms_ = clock_.Wall().ms;
  router_->OnConnectionReady(connection, earlier_fenced);
  if (!earlier_fenced) fence_wait_->Start(config_.fence_wait_ms);
  if (stopping_) link_->Stop(true);
}

void Sidecar::OnLinkLost() {
  redis_since_ms_ = clock_.Wall().ms;
  fence_wait_->Stop();
  spill_->Queue(ForgetLiveJob{});
  const uint64_t doubts = router_->events_in_flight();
  router_->OnConnectionLost();
  if (doubts > 0) LogWarning("events-in-doubt", {{"events", doubts}});
}

void Sidecar::OnProbe(bool passed) {
  passed ? router_->OnProbePassed() : router_->OnProbeFailed();
}

void Sidecar::OnLanded(std::string_view id) {
  router_->OnLanded(id);
  // A server that answers a probe may still refuse to write: only an entry says that it does not.
  if (std::exchange(redis_refuses_, false)) LogInfo("redis-accepts-again", {{"server", config_.redis.ForLogs()}});
}

void Sidecar::OnXaddError(std::string_view error) {
  router_->OnError(error, clock_.Now());
}

void Sidecar::OnTail(StreamState& stream, const std::vector<TailEntry>& entries, bool more) {
  router_->OnTail(stream, entries, more, clock_.Now());
}

void Sidecar::OnTailError(StreamState& stream, std::string_view error) {
  router_->OnTailError(stream, error, clock_.Now());
}

void Sidecar::OnUnusable(const std::string& why) {
  LogError("cannot-start", {{"error", why}});
  exit_code_ = kSidecarUsage;
  BeginStop();
}

// ---- The commands of the admin

// However many ask, the folder is looked at once for all of them.
void Sidecar::AnswerStatus(ReplyTo to) {
  status_waiting_.push_back(to);
  if (std::exchange(describing_, true)) return;
  asked_ms_ = clock_.Now().ms;
  spill_->Queue(DescribeJob{});
}

void Sidecar::AnswerWaitingStatus() {
  if (status_waiting_.empty()) return;
  std::string reply;
  AppendBulk(reply, StatusJson(last_report_));
  for (const ReplyTo& to : std::exchange(status_waiting_, {})) to.Reply(reply);
}

void Sidecar::AnswerSeal(ReplyTo to) {
  admin_waiting_.emplace(next_token_, to);
  spill_->Queue(SealJob{next_token_++});
}

ServerInfo Sidecar::Info() const {
  const RouterCounters& counters = router_->counters();
  ServerInfo info;
  info.uptime_s = (clock_.Wall().ms - started_ms_) / 1000;
  const auto line = [&](std::string_view name, auto value) {
    info.sprockets_section += std::string(name) + ":" + value + "\r\n";
  };
  line("mode", std::string("redis"));
  line("breaker", std::string(NameOf(router_->breaker().state())));
  line("accepted", std::to_string(counters.accepted));
  line("landed", std::to_string(counters.landed));
  line("spilled", std::to_string(counters.spilled));
  line("in_doubt", std::to_string(counters.in_doubt));
  line("spill_rows_active", std::to_string(spill_->active_rows()));
  return info;
}

nlohmann::ordered_json Sidecar::RedisStatus() const {
  const bool ready = link_->state() == RedisLink::State::kReady;
  const std::string& error = ready ? router_->last_refusal() : link_->last_failure();
  return {{"state", ready ? "connected" : "disconnected"},
          {"breaker", NameOf(router_->breaker().state())},
          {"run_id", link_->run_id()},
          {"replid", link_->replication_id()},
          {"db", config_.redis.database},
          {"since_ms", redis_since_ms_},
          {"last_error", error}};
}

std::string Sidecar::StatusJson(const SpillReport& report) const {
  const RouterCounters& counters = router_->counters();
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const SpillReport::File& file : report.files) {
    nlohmann::ordered_json entry = {
        {"name", file.name}, {"rows", nullptr}, {"bytes", file.bytes}, {"oldest_ms", file.oldest_ms}};
    if (file.rows >= 0) entry["rows"] = file.rows;
    files.push_back(std::move(entry));
  }
  nlohmann::ordered_json status = {
      {"mode", "redis"},
      {"redis", RedisStatus()},
      {"counters",
       {{"accepted", counters.accepted},
        {"landed", counters.landed},
        {"spilled", counters.spilled},
        {"in_doubt", counters.in_doubt},
        {"deduplicated", counters.deduplicated},
        {"refused", counters.refused},
        {"unknown", counters.unknown},
        {"invalid", counters.invalid},
        {"other_payload", counters.other_payload}}},
      {"spill",
       {{"rows", report.rows}, {"bytes", report.bytes}, {"oldest_ms", report.oldest_ms}, {"files", std::move(files)}}},
      {"in_flight",
       {{"events", router_->events_in_flight()},
        {"bytes", router_->bytes_in_flight()},
        {"unanswered", router_->events_unanswered()},
        {"oldest_age_ms", clock_.Wall().ms - router_->OldestUnanswered(clock_.Wall()).ms}}},
      {"report_age_ms", nullptr}};
  if (described_ms_ != 0) status["report_age_ms"] = clock_.Wall().ms - described_ms_;
  return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sprockets
