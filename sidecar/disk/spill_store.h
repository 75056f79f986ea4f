// The sidecar's hold on the spill folder: commits batches of events, writes connections down, seals; and what to do
// when the disk fails. It does one job after the other and knows no thread: SpillThread gives it one of its own. A
// batch is answered when its commit is on disk, which LogSync waits for; the next batch is committed meanwhile. Every
// other job waits until all before it is on disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/redis/connection_id.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"
#include "sidecar/core/traffic.h"
#include "sidecar/disk/folder_reader.h"
#include "sidecar/disk/log_sync.h"
#include "sidecar/disk/room.h"
#include "sidecar/disk/spill_jobs.h"
#include "sidecar/disk/spill_report.h"

namespace sprockets {

class SpillStore {
 public:
  struct Options {
    std::string producer;
    std::string event_id_field;
    int database = 0;    // of Redis
    std::string server;  // its address: RedisUrl::Server
    int64_t spill_file_bytes = 256ll << 20;
    int64_t spill_max_bytes = 8ll << 30;
    int64_t most_doubt_bytes = 8 << 20;  // of events in doubt that are stored although there is no room: what one
                                         // connection may carry
  };
  /// The folder and `sync`, which posts to the same function, must outlive it. `earlier` may have read some of the
  /// folder already.
  SpillStore(const SpillFolder& folder, StateFile state, Options options, FolderReader earlier, LogSync* sync,
             PostCompletions post);

  /// Does the jobs in order; neighbouring events go to disk in one transaction. The jobs are used up.
  void Process(std::span<SpillJob> jobs);
  /// A sync failed: distrusts the file and answers for what LogSync could not.
  void OnSyncFailed();
  /// Seals and closes. `nothing_in_flight`: every event that was sent has had its answer.
  void Close(bool nothing_in_flight);
  /// Files that no drainer may trust, and whose marker could not be written yet: a SealJob tries again.
  size_t unmarked() const { return distrusted_.size(); }
  /// Committed rows of the active file.
  int64_t active_rows() const { return file_ == nullptr ? 0 : file_->rows(); }

 private:
  using Batch = std::span<SpillRequest* const>;

  void Record(const RecordJob& job);
  void Seal(const SealJob& job);
  void Describe();
  void ReadFolder();
  void NoteNothingInFlight();
  void PostOne(SpillCompletion done);

  void SpillBatch(std::vector<SpillRequest*> batch);
  void AnswerSpilled(Batch batch, const std::vector<int64_t>& tickets);
  void AnswerUnknown(std::vector<SpillOutcome> outcomes, const std::string& why);
  std::vector<SpillOutcome> OutcomesOf(Batch batch);
  bool AllOnDisk();
  Status Store(Batch batch, std::vector<int64_t>* tickets);
  Status Append(Batch batch, std::vector<int64_t>* tickets);
  Status AppendPart(Batch part, std::vector<int64_t>* tickets);
  Status OpenFile();
  Status OpenState();
  Status CheckRoom(int64_t bytes);
  Status CheckDisk(int64_t wanted);
  void Refuse(Batch batch, const Error& error);
  void RefuseForLackOfRoom(std::vector<SpillRequest*>* batch, const Error& error);
  void LogRefused();
  void KeepHouse();
  void Distrust(const Error& error);
  Status MarkDistrusted();
  Status SealActive(std::string* name);

  const SpillFolder& folder_;
  std::optional<StateFile> state_;
  const Options options_;
  FolderReader earlier_;
  std::map<int64_t, SpillReport::File> known_files_;
  LogSync* const sync_;
  const PostCompletions post_;
  Room room_;
  std::unique_ptr<SpillWriter> file_;
  std::unordered_map<std::string, StreamId> tails_;  // of the streams in file_, as they were at their first event in it
  std::optional<ConnectionId> live_;
  bool commit_failed_ = false;       // Store's last error came from COMMIT: what it wrote may be stored
  std::vector<int64_t> distrusted_;  // files whose marker could not be written yet
  int64_t highest_ticket_ = 0;
  bool answered_unknown_ = false;  // in this life
  std::string last_refusal_;
  uint64_t refused_ = 0;  // since the last line of the log about it
  int64_t refused_logged_ms_ = 0;
  // Scratch, of one part.
  std::vector<std::string_view> args_;
  std::vector<EventView> views_;
  std::vector<SpillRow> rows_;
};

}  // namespace sprockets
