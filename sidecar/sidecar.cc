#include "sidecar/sidecar.h"

#include <algorithm>
#include <csignal>
#include <sched.h>
#include <sys/resource.h>
#include <utility>
#include <variant>

#include <sodium.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/overloaded.h"
#include "shared/journal/entry_tags.h"
#include "sidecar/core/made_id.h"
#include "sidecar/delivery/disk_first.h"
#include "sidecar/delivery/redis_first.h"
#include "sidecar/disk/folder_reader.h"

namespace sprockets {

namespace {

constexpr int64_t kReadBeforeOpeningMs = 500;  // of a large spill folder; the rest is read while clients are served
constexpr int64_t kFewestJournals = 4;
constexpr int64_t kClientsComeBackMs = 24 * 60 * 60 * 1000;  // with an event of before the mode was changed
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

// Left by a life with the other --ack, which would have sent them.
std::vector<JournalFile> TellOfJournals(const SpillFolder& folder, const OpenedFolder& opened) {
  Result<JournalContents> contents = ReadJournals(folder, opened.files);
  if (!contents.ok()) {
    LogWarning("journals-not-read", {{"why", contents.error().message}});
    return {};
  }
  const LandedMarks& marks = opened.state->landed();
  const auto waits = [&](const auto& stream) {
    const auto mark = marks.find(stream.first);
    return mark == marks.end() || mark->second.landed < stream.second;
  };
  const auto& streams = contents.value().committed;
  const auto waiting = std::count_if(streams.begin(), streams.end(), waits);
  if (waiting > 0)
    LogWarning("journals-wait", {{"streams", waiting},
                                 {"why", "they are of --ack disk, and this sidecar runs with --ack redis"},
                                 {"next", "stop this sidecar, drain, and start it again"}});
  return std::move(contents.value().files);
}

void TellOfSpillFiles(const OpenedFolder& opened, const JournalContents& contents) {
  const auto waits = [&](const SpillFileInfo& info) {
    const auto is_it = [&](const JournalFile& journal) { return journal.number == info.number; };
    return !info.quarantined && info.state != SpillFileInfo::State::kDrained &&
           std::none_of(contents.files.begin(), contents.files.end(), is_it);
  };
  const auto waiting = std::count_if(opened.files.begin(), opened.files.end(), waits);
  if (waiting == 0) return;
  LogWarning("spill-files-wait", {{"files", waiting},
                                  {"why", "they are of --ack redis, and this sidecar runs with --ack disk"},
                                  {"next", "drain sends them, also while this sidecar runs"}});
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
  ASSIGN_OR_RETURN(folder_, DiskFolder::Open(config_.spill_dir));
  ASSIGN_OR_RETURN(OpenedFolder opened, OpenSpillFolder(*folder_));
  lock_ = std::move(opened.lock);

  disk_ = std::make_unique<Disk>(&loop_, &clock_, config_.seal_after_ms, [this] { CollectSpilled(); });
  const std::string producer = RandomProducer();
  SpillStore::Options spill;
  MovedRows moved;
  if (config_.ack == SidecarConfig::Ack::kRedis) {
    delivery_ = MakeRedisFirst(opened, producer, &spill);
  } else {
    ASSIGN_OR_RETURN(delivery_, MakeDiskFirst(&opened, producer, &spill, &moved));
  }
  relay_ = std::make_unique<RelayPool>(
      &loop_, RelayPool::Options{config_.redis, config_.redis_timeout_ms, config_.relay_connections},
      [this] { return delivery_->address(); });
  FolderReader earlier(*folder_, opened.files,
                       {.hasher = delivery_->hasher(),
                        .max_inflight_bytes = config_.max_inflight_bytes,
                        .window_capacity = config_.dedupe_window,
                        .most_unknown = Window::kMostUnknown,
                        .moved = std::move(moved)});
  RETURN_IF_ERROR(ReadEarlierLives(earlier));

  spill.producer = producer;
  spill.event_id_field = config_.event_id_field;
  spill.database = config_.redis.database;
  spill.server = config_.redis.Server();
  spill.spill_file_bytes = config_.spill_file_bytes;
  // Only a whole journal can go, so that the quota must hold several.
  if (spill.names_entries)
    spill.spill_file_bytes = std::min(spill.spill_file_bytes, config_.spill_max_bytes / kFewestJournals);
  spill.spill_max_bytes = config_.spill_max_bytes;
  spill.most_doubt_bytes = config_.max_inflight_bytes;
  const auto make_store = [&](SpillStore::Post post) {
    return std::make_unique<SpillStore>(*folder_, *std::move(opened.state), spill, std::move(earlier), std::move(post));
  };
  disk_->Start(make_store, earlier);
  skips_ = std::make_unique<SkipStore>(&loop_, &clock_, folder_->path());
  skips_->LookNow();
  admin_ = std::make_unique<Admin>(delivery_.get(), relay_.get(), disk_.get(), skips_.get(), &clock_);
  skips_->OnLooked([this] { admin_->OnSkipsLooked(); });
  clients_ = std::make_unique<Clients>(&delivery_->events(), admin_.get(), relay_.get(), skips_.get(),
                                       Routes({config_.relay, config_.relay_allowed, config_.streams, config_.skips}),
                                       &clock_, config_.max_event_bytes);
  WatchLoop();
  if (config_.admin) RETURN_IF_ERROR(OpenAdminHttp());
  ASSIGN_OR_RETURN(listener_, Listener::Open(&loop_, config_.socket, config_.socket_mode,
                                             [this](UvHandle<uv_pipe_t> pipe) { clients_->Add(std::move(pipe)); }));
  uv_update_time(&loop_);  // it stood still while the folder was read, and the first deadline begins now
  delivery_->Start([this](const std::string& why) { OnUnusable(why); }, [this] { relay_->EndAll("Redis is away"); });
  if (reporter_) reporter_->EverySecond();  // so that there are figures from the beginning
  LogInfo("listening", {{"socket", config_.socket},
                        {"redis", config_.redis.ForLogs()},
                        {"spill_dir", config_.spill_dir},
                        {"ack", delivery_->Facts(clock_.Wall()).mode},
                        {"producer", producer}});
  return {};
}

Status Sidecar::OpenAdminHttp() {
  Setup setup{config_.socket, config_.redis.Server(), folder_->path(), config_.spill_max_bytes};
  reporter_ = std::make_unique<Reporter>(std::move(setup), Reporter::Sources{delivery_.get(), relay_.get(), disk_.get(),
                                                                             skips_.get(), clients_.get(), &clock_});
  ASSIGN_OR_RETURN(http_, AdminHttp::Start(*config_.admin, &reporter_->publisher()).Prefixed("--admin"));
  ListenAddress address = *config_.admin;
  address.port = http_->port();
  LogInfo("admin-listening", {{"address", address.Text()}});
  if (!address.is_loopback())
    LogWarning("admin-not-loopback", {{"address", address.Text()},
                                      {"cost", "whoever reaches it reads the names of streams and errors of Redis"}});
  return {};
}

std::unique_ptr<Delivery> Sidecar::MakeRedisFirst(const OpenedFolder& opened, const std::string& producer,
                                                  SpillStore::Options* spill) {
  spill->retain_ms = config_.retain_ms;
  if (!opened.state->tags().empty()) spill->earlier_journals = TellOfJournals(*folder_, opened);
  RouterOptions options;
  static_cast<IntakeOptions&>(options) = MakeIntakeOptions(producer);
  options.max_inflight_bytes = config_.max_inflight_bytes;
  options.max_spill_queue_bytes = config_.max_inflight_bytes;
  options.dedupe_window = config_.dedupe_window;
  options.earlier_life_in_flight = !opened.state->nothing_was_in_flight();
  return std::make_unique<RedisFirst>(
      &loop_, &clock_, Upstream::Options{config_.redis, config_.redis_timeout_ms, config_.fence_wait_ms},
      opened.state->connections(), opened.state->connections_lost(), options, disk_.get());
}

Result<std::unique_ptr<Delivery>> Sidecar::MakeDiskFirst(OpenedFolder* opened, const std::string& producer,
                                                         SpillStore::Options* spill, MovedRows* moved) {
  ASSIGN_OR_RETURN(JournalContents contents, ReadJournals(*folder_, opened->files));
  TellOfSpillFiles(*opened, contents);
  DiskFirst::Options options;
  ASSIGN_OR_RETURN(options.tags, DrawTag(contents, &*opened->state));
  static_cast<IntakeOptions&>(options.acceptor) = MakeIntakeOptions(producer);
  RETURN_IF_ERROR(opened->state->NoteDiskFirst(WallClockMs()));
  if (WallClockMs() - opened->state->redis_first_until_ms() < kClientsComeBackMs) {
    LogInfo("mode-changed", {{"from", "--ack redis"},
                             {"next", "the end of each stream is read before an event with a client's id is taken"}});
    options.tails = {config_.redis, config_.redis_timeout_ms, config_.fence_wait_ms, opened->state->connections(),
                     opened->state->connections_lost()};
  }
  options.acceptor.max_queue_bytes = config_.max_inflight_bytes;
  options.acceptor.max_inflight_bytes = config_.max_inflight_bytes;
  options.acceptor.dedupe_window = config_.dedupe_window;
  options.forwarder.url = config_.redis;
  options.forwarder.placing = config_.placing;
  options.forwarder.fresh_bytes = static_cast<size_t>(config_.max_inflight_bytes);
  options.redis_timeout_ms = config_.redis_timeout_ms;
  auto delivery = std::make_unique<DiskFirst>(&loop_, &clock_, std::move(options), *folder_, contents,
                                              opened->state->landed(), disk_.get());
  spill->names_entries = true;
  spill->sync_every_ms = config_.fsync_interval_ms;
  spill->retain_ms = config_.retain_ms;
  spill->earlier_journals = std::move(contents.files);
  *moved = std::move(contents.current);
  return std::unique_ptr<Delivery>(std::move(delivery));
}

IntakeOptions Sidecar::MakeIntakeOptions(const std::string& producer) const {
  IntakeOptions options;
  options.event_id_field = config_.event_id_field;
  options.producer = producer;
  options.max_event_bytes = config_.max_event_bytes;
  options.max_streams = config_.max_streams;
  options.stream_globs = config_.streams;
  return options;
}

// What there is time for before the door opens.
Status Sidecar::ReadEarlierLives(FolderReader& reader) {
  const int64_t until_ms = SteadyClockMs() + kReadBeforeOpeningMs;
  do {
    ASSIGN_OR_RETURN(const EarlierEvents events, reader.ReadNext());
    delivery_->OnEarlierEvents(events, reader.complete());
  } while (reader.left() > 0 && SteadyClockMs() < until_ms);
  if (reader.left() > 0) LogInfo("spill-folder-read-on", {{"files_left", reader.left()}});
  return {};
}

// What comes from the loop itself: the end of each turn, the seconds, the signals.
void Sidecar::WatchLoop() {
  end_of_turn_.reset(new uv_prepare_t);
  uv_prepare_init(&loop_, end_of_turn_.get());
  end_of_turn_->data = this;
  uv_prepare_start(end_of_turn_.get(), [](uv_prepare_t* prepare) { static_cast<Sidecar*>(prepare->data)->EndTurn(); });
  every_second_ = std::make_unique<UvTimer>(&loop_, [this] { EverySecond(); });
  every_second_->Start(1000, 1000);
  stop_timer_ = std::make_unique<UvTimer>(&loop_, [this] { uv_stop(&loop_); });
  for (auto [handle, number] : {std::pair{&sigterm_, SIGTERM}, {&sigint_, SIGINT}}) {
    handle->reset(new uv_signal_t);
    uv_signal_init(&loop_, handle->get());
    (*handle)->data = this;
    uv_signal_start(
        handle->get(), [](uv_signal_t* signal, int) { static_cast<Sidecar*>(signal->data)->BeginStop(); }, number);
  }
}

// Everything is closed, so that the loop can prove that nothing was forgotten.
void Sidecar::CloseLoop() {
  if (listener_) listener_->Close();
  if (disk_ && disk_->started()) {
    disk_->Join(/*nothing_in_flight=*/delivery_->nothing_in_flight());
    CollectSpilled();
  }
  if (skips_) skips_->Submit();
  if (clients_) clients_->Close();
  if (delivery_) delivery_->LogStopped();
  delivery_.reset();
  relay_.reset();
  disk_.reset();
  end_of_turn_.reset();
  HoldStopSignals();
  sigterm_.reset();
  sigint_.reset();
  every_second_.reset();
  stop_timer_.reset();
  listener_.reset();
  uv_run(&loop_, UV_RUN_DEFAULT);
  skips_.reset();
  clients_.reset();
  http_.reset();  // last: a peer that does not read may keep it waiting
}

// ---- Turns of the loop

void Sidecar::EndTurn() {
  clock_.ReadWall();
  clients_->Resume();
  delivery_->EndTurn();
  admin_->EndTurn();
  relay_->Flush();
  disk_->Submit();
  skips_->Submit();
  clients_->Flush();
  delivery_->MeasureAnswers();
  clock_.EndTurn();
  if (stopping_) ContinueStop();
  // Redis and the clients may be waiting for our core with the very work that we are about to wait for. Letting them go
  // first makes larger turns of it, and leaves Redis less often without work.
  sched_yield();
}

void Sidecar::CollectSpilled() {
  for (SpillCompletion& completion : disk_->Collect()) {
    std::visit(Overloaded{
                   [this](SpillOutcome& outcome) { delivery_->OnSpillOutcome(std::move(outcome)); },
                   [this](const Recorded& recorded) { delivery_->OnRecorded(recorded); },
                   [this](const JournalBlocked& blocked) { delivery_->OnJournalBlocked(blocked); },
                   [this](const LandedNoted& noted) { delivery_->OnLandedNoted(noted); },
                   [this](const Sealed& sealed) {
                     disk_->OnSealed();
                     delivery_->OnSealed(sealed);
                     admin_->OnSealed(sealed);
                   },
                   [this](Described& described) {
                     if (described.proves) return reporter_->OnDescribed(std::move(described.report));
                     admin_->OnDescribed(std::move(described.report));
                   },
                   [this](const FolderRead& read) {
                     delivery_->OnEarlierEvents(read.events, read.complete);
                     disk_->OnFolderRead(read);
                   },
               },
               completion);
  }
}

void Sidecar::EverySecond() {
  clients_->CheckStalls();
  admin_->CheckPatience();
  delivery_->EverySecond();
  disk_->KeepHouse(delivery_->healthy_since_ms());
  if (reporter_) reporter_->EverySecond();
}

// ---- Stopping: nothing new is taken; what is in flight is resolved or spilled, and answered; the file is sealed.

void Sidecar::BeginStop() {
  if (stopping_) return;  // a second signal changes nothing: we are on our way, and nothing may be lost
  stopping_ = true;
  LogInfo("stopping", {{"unanswered", delivery_->unanswered()}});
  listener_->Close();
  clients_->StopReading();
  delivery_->Stop();
  relay_->Stop();
  disk_->Stop();
  stop_timer_->Start(config_.redis_timeout_ms + kStopMs);
}

void Sidecar::ContinueStop() {
  if (delivery_->unanswered() > 0 || !skips_->idle() || admin_->is_asked()) return stop_timer_->Start(kStopMs);
  if (clients_->all_idle()) uv_stop(&loop_);
}

void Sidecar::OnUnusable(const std::string& why) {
  LogError("cannot-start", {{"error", why}});
  exit_code_ = kSidecarUsage;
  BeginStop();
}

}  // namespace sprockets
