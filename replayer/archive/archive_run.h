// Streams into PostgreSQL until they are caught up or, as a service, until a signal. Four threads: one reads, the
// caller's writes, one publishes scores, one keeps what is being worked on from being claimed.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "replayer/archive/archive_figures.h"
#include "replayer/archive/batch_writer.h"
#include "replayer/archive/group_maker.h"
#include "replayer/archive/group_reader.h"
#include "replayer/archive/handoff.h"
#include "replayer/archive/heartbeat.h"
#include "replayer/archive/read_size.h"
#include "replayer/archive/score_thread.h"
#include "replayer/redis/target.h"

namespace sprockets {

struct ArchiveOptions {
  RedisTarget redis;
  PostgresTarget postgres;
  std::vector<std::string> streams;
  std::string group = "archive";
  std::string consumer;  // the same after a restart: what it left pending is its own
  std::string event_id_field = "event_id";
  int64_t batch = 5'000;           // entries of one transaction, at most
  size_t batch_bytes = 2 << 20;    // the same, about
  int64_t gather_ms = 20;          // with `follow`: how long a batch that is not full waits for more
  int64_t claim_idle_ms = 60'000;  // whose entries nobody has acknowledged for so long, is dead
  bool follow = false;
  bool trim = false;
};

struct ArchiveReport {
  std::vector<ArchivedStream> streams;
  uint64_t published = 0;
  std::string unpublished;  // why scores wait in the outbox; empty: none does
  Status status;            // of what ended the run early
};

class ArchiveRun {
 public:
  ArchiveRun(ArchiveOptions options, std::vector<ArchiveHandler> handlers, std::vector<ConsumerGroup> groups);
  /// Once.
  ArchiveReport Run();
  /// Any thread, at any time. Takes no longer than to copy them.
  ArchiveFigures Figures() const;

 private:
  // Of the reading thread.
  void ReadAll();
  Status ReadUntilLost();
  Status EnsureGroups(RedisClient& redis);
  Status ReadOwnPending(RedisClient& redis);
  Status ClaimFromDead(RedisClient& redis);
  Status ReadNewEntries(RedisClient& redis, bool* found_some);
  Status AfterRefusal(RedisClient& redis, const Error& error);
  /// Is everything acknowledged? Else what can be done about it was done.
  Result<bool> IsCaughtUp(RedisClient& redis);
  bool HandOver(EntryBatch batch);
  bool HandOverDue(bool all);
  int64_t BlockMs() const;

  // Of the caller's thread.
  Status WriteAll();
  Status WriteUntilDone(EntryBatch& batch);
  void Acknowledge(const EntryBatch& batch);
  Status ConnectToAcknowledge();
  void Count(const EntryBatch& batch, const Written& written, int64_t took_us);
  void NoteWriting(const Error* why);
  void CountPending();
  void TrimAll(bool at_once);

  // Of all.
  std::vector<std::string> ActiveStreams() const;
  void StopStream(const std::string& stream, const Error& why);
  void NoteReading(const std::string& waits, bool has_connected);

  const ArchiveOptions options_;
  GroupMaker group_maker_;  // of the reading thread
  BatchWriter writer_;      // of the caller's thread, but for JsonHandlersOf
  GroupReader reader_;      // knows no state; each thread hands in its own connection
  ScoreThread scores_;
  Heartbeat heartbeat_;
  Handoff handoff_;

  struct OpenBatch {
    EntryBatch batch;
    int64_t opened_ms = 0;
  };
  std::map<std::string, OpenBatch> open_;  // of the reading thread, as is everything down to read_status_
  ReadSize read_size_;
  int64_t claimed_ms_ = 0;
  std::optional<int64_t> waiting_for_others_since_ms_;
  int rounds_for_own_ = 0;
  bool told_away_ = false;
  Status read_status_;

  std::optional<RedisClient> acknowledging_;  // of the caller's thread
  int64_t trimmed_ms_ = 0;
  std::atomic<bool> knows_own_ = false;           // what was pending for us at the connection's start was read
  std::atomic<bool> writing_waits_ = false;       // for PostgreSQL, which others may reach
  std::atomic<bool> has_unacknowledged_ = false;  // an XACK failed: our pending entries have to be read again

  mutable std::mutex mutex_;
  std::map<std::string, ArchivedStream> streams_;  // Guarded by mutex_.
  ArchiveFigures work_;                            // Guarded by mutex_; without streams and scores
};

}  // namespace sprockets
