// The thread that writes, and the run as a whole.
#include "replayer/archive/archive_run.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include "replayer/archive/broken_json.h"
#include "replayer/archive/sql_state.h"
#include "replayer/archive/trim.h"
#include "replayer/redis/server.h"
#include "replayer/terminal/stop.h"
#include "shared/base/backoff.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kLeastPatienceMs = 5'000;  // for what passes: a deadlock, a server that says that it is shutting down
constexpr int64_t kTrimEveryMs = 5'000;

LookAtEntry LookForJson(const BatchWriter& writer) {
  return [&writer](std::string_view stream, std::span<const std::string_view> fields, ArchiveEntry& entry) {
    const std::vector<const ArchiveHandler*> handlers = writer.JsonHandlersOf(stream);
    if (!handlers.empty()) entry.broken = FindBrokenJson(fields, handlers);
  };
}

}  // namespace

ArchiveRun::ArchiveRun(ArchiveOptions options, std::vector<ArchiveHandler> handlers, std::vector<ConsumerGroup> groups)
    : options_(std::move(options)),
      group_maker_(options_.postgres, std::move(groups), options_.group),
      writer_(options_.postgres, std::move(handlers)),
      reader_({options_.group, options_.consumer, options_.event_id_field}, LookForJson(writer_)),
      scores_(options_.redis, options_.postgres),
      heartbeat_(options_.redis, reader_, options_.claim_idle_ms,
                 [this] { return knows_own_ && !writing_waits_ ? ActiveStreams() : std::vector<std::string>(); }),
      read_size_(options_.batch, options_.batch_bytes) {
  for (const std::string& stream : options_.streams) streams_[stream].name = stream;
}

ArchiveReport ArchiveRun::Run() {
  ArchiveReport report;
  report.status = writer_.Connect(options_.postgres.wait_ms);
  const bool waits = options_.follow && !report.status.ok() && FaultOf(report.status.error()) == SqlFault::kPasses;
  if (report.status.ok() || waits) {
    if (writer_.has_score_handlers()) scores_.Start();
    heartbeat_.Start();
    std::thread reading([this] { ReadAll(); });
    report.status = WriteAll();
    reading.join();
    heartbeat_.Finish();
    if (report.status.ok() && !StopRequested()) report.status = read_status_;
    if (report.status.ok() && options_.trim) TrimAll(/*at_once=*/true);
    ScoreThread::Summary scores = scores_.Finish();
    report.published = scores.published;
    report.unpublished = std::move(scores.left);
    CountPending();
  }
  const std::lock_guard lock(mutex_);
  for (auto& [name, stream] : streams_) report.streams.push_back(stream);
  return report;
}

Status ArchiveRun::WriteAll() {
  while (const std::unique_ptr<EntryBatch> batch = handoff_.Pop()) {
    const Status written = WriteUntilDone(*batch);
    if (!written.ok()) {
      handoff_.Abandon();
      return written;
    }
    if (options_.trim) TrimAll(/*at_once=*/false);
  }
  return {};
}

/// An error ends the run. What was not written stays pending.
Status ArchiveRun::WriteUntilDone(EntryBatch& batch) {
  {
    const std::lock_guard lock(mutex_);
    if (!streams_[batch.stream].stopped.empty()) return {};
  }
  Backoff backoff(50, 5'000);
  const int64_t begun_ms = SteadyClockMs();
  bool told = false;
  std::minstd_rand random(std::random_device{}());
  while (true) {
    const Status connected = writer_.Connect(options_.follow ? 0 : options_.postgres.wait_ms);
    const int64_t tried_us = SteadyClockUs();
    Result<Written> written = connected.ok() ? writer_.Write(batch) : Result<Written>(connected.error());
    if (written.ok()) {
      writing_waits_ = false;
      if (told) LogInfo("writing-goes-on", {{"stream", batch.stream}});
      NoteWriting(nullptr);
      Count(batch, written.value(), SteadyClockUs() - tried_us);
      Acknowledge(batch);
      if (written.value().has_scores) scores_.Wake();
      return {};
    }
    const Error& error = written.error();
    if (FaultOf(error) == SqlFault::kSet) {
      if (!connected.ok()) return error;
      NoteWriting(nullptr);
      if (!StopRequested()) StopStream(batch.stream, error);
      return {};
    }
    const int64_t patience_ms = std::max(kLeastPatienceMs, options_.postgres.wait_ms);
    const bool is_over = !connected.ok() || SteadyClockMs() - begun_ms > patience_ms;
    if (!options_.follow && is_over) return Error{ErrorCode::kUnreachable, error.message};
    NoteWriting(&error);
    if (!told) LogWarning("writing-waits", {{"stream", batch.stream}, {"why", error.message}, {"next", "tried again"}});
    told = true;
    writing_waits_ = true;
    if (!SleepUnlessStopped(backoff.NextMs(random()))) return {};
  }
}

/// `why` the batch at work cannot be written; none: it could.
void ArchiveRun::NoteWriting(const Error* why) {
  const std::lock_guard lock(mutex_);
  work_.postgres_connections = writer_.connections();
  work_.failed_batches += why == nullptr ? 0 : 1;
  work_.writing_waits = why == nullptr ? "" : why->message;
}

void ArchiveRun::Count(const EntryBatch& batch, const Written& written, int64_t took_us) {
  const std::lock_guard lock(mutex_);
  if (!batch.entries.empty()) work_.batches.Record(took_us);
  ArchivedStream& stream = streams_[batch.stream];
  stream.read += batch.entries.size();
  stream.archived += written.archived;
  stream.known += written.known;
  stream.dead += written.dead;
  stream.dead_parts += written.dead_parts;
  stream.deleted += batch.deleted.size();
  stream.batches += batch.entries.empty() ? 0 : 1;
  if (!batch.deleted.empty())
    LogWarning("deleted-while-pending", {{"stream", batch.stream}, {"entries", batch.deleted.size()}});
}

/// Only after the COMMIT. If it fails, the entries stay pending, and the log knows them when they are read again.
void ArchiveRun::Acknowledge(const EntryBatch& batch) {
  Status acknowledged = ConnectToAcknowledge();
  if (acknowledged.ok()) acknowledged = reader_.Acknowledge(*acknowledging_, batch);
  if (acknowledged.ok()) return;
  if (acknowledged.error().code == ErrorCode::kUnreachable) acknowledging_.reset();
  if (!has_unacknowledged_.exchange(true))
    LogWarning("not-acknowledged", {{"stream", batch.stream}, {"why", acknowledged.error().message}});
}

Status ArchiveRun::ConnectToAcknowledge() {
  // A connection that waited for long may have been closed: one PING tells.
  if (acknowledging_) {
    const auto answer = acknowledging_->Call({"PING"});
    if (answer.ok()) return {};
    acknowledging_.reset();
  }
  ASSIGN_OR_RETURN(Server server, Server::Connect(options_.redis.url, options_.redis.deadline_ms));
  acknowledging_.emplace(std::move(server.client()));
  return {};
}

void ArchiveRun::CountPending() {
  if (!ConnectToAcknowledge().ok()) return;
  for (const std::string& name : options_.streams) {
    const auto pending = reader_.CountPending(*acknowledging_, name);
    if (!pending.ok() && pending.error().code == ErrorCode::kUnreachable) return;
    const std::lock_guard lock(mutex_);
    if (pending.ok()) streams_[name].pending = pending.value().all;
  }
}

void ArchiveRun::TrimAll(bool at_once) {
  const int64_t now_ms = SteadyClockMs();
  if (!at_once && now_ms - trimmed_ms_ < kTrimEveryMs) return;
  trimmed_ms_ = now_ms;
  for (const std::string& name : ActiveStreams()) {
    Status ready = ConnectToAcknowledge();
    if (ready.ok()) ready = writer_.Connect(0);
    Result<uint64_t> trimmed = ready.ok() ? TrimArchived(*acknowledging_, writer_, name, options_.event_id_field)
                                          : Result<uint64_t>(ready.error());
    if (!trimmed.ok()) {
      LogWarning("not-trimmed", {{"stream", name}, {"why", trimmed.error().message}});
      if (trimmed.error().code == ErrorCode::kUnreachable) acknowledging_.reset();
      continue;
    }
    const std::lock_guard lock(mutex_);
    streams_[name].trimmed += trimmed.value();
  }
}

ArchiveFigures ArchiveRun::Figures() const {
  const ScoreThread::Summary scores = scores_.Current();
  const std::lock_guard lock(mutex_);
  ArchiveFigures figures = work_;
  for (const std::string& name : options_.streams) figures.streams.push_back(streams_.at(name));
  figures.published = scores.published;
  figures.unpublished = scores.left;
  return figures;
}

std::vector<std::string> ArchiveRun::ActiveStreams() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> active;
  for (const std::string& name : options_.streams) {
    if (streams_.at(name).stopped.empty()) active.push_back(name);
  }
  return active;
}

void ArchiveRun::StopStream(const std::string& stream, const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    streams_[stream].stopped = why.message;
  }
  LogError("stream-stopped", {{"stream", stream},
                              {"sqlstate", why.sqlstate},
                              {"why", why.message},
                              {"way_out", "correct it, then start archive again: nothing of the stream is lost"}});
}

}  // namespace sprockets
