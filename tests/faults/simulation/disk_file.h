// A spill file of the simulated disk, as the drain has it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "shared/spill/file.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

class SimulatedFile final : public SpillFile {
 public:
  SimulatedFile(World* world, SpillFileInfo info) : world_(world), info_(std::move(info)) {}

  const SpillFileInfo& info() const override { return info_; }
  const std::string& producer() const override { return file().options.producer; }
  const std::string& event_id_field() const override { return file().options.event_id_field; }
  int64_t begun_ms() const override { return file().options.begun_ms; }
  bool connections_lost() const override { return file().options.connections_lost; }
  std::optional<int> database() const override { return file().options.database; }
  const std::string& server() const override { return file().options.server; }
  bool names_entries() const override { return file().options.names_entries; }
  const std::string& wal_damage() const override { return undamaged_; }
  int64_t drained_ms() const override { return file().drained_ms; }

  Status Verify() override { return {}; }
  Status VerifyAsRead() override { return {}; }

  Result<std::vector<SpilledStream>> Streams() override;
  Result<std::vector<SpilledStream>> UncountedStreams() override { return Streams(); }
  Result<std::vector<ConnectionId>> Connections() override { return file().connections; }
  Result<std::vector<std::pair<std::string, std::string>>> RenamedStreams() override;
  Result<std::vector<Move>> Moves() override;
  Result<int64_t> CountAfter(const SpilledStream& stream, int64_t after,
                             std::span<const int64_t> but_not = {}) override;
  Status Visit(const SpilledStream& stream, int64_t after, int64_t up_to,
               const std::function<bool(const SpilledEvent&)>& visitor,
               const std::function<void(int64_t, std::string_view)>& on_bad_row = nullptr) override;
  Status VisitDoubts(const SpilledStream& stream, int64_t after,
                     const std::function<bool(const SpilledEvent&)>& visitor) override;
  Status VisitNewestFirst(const SpilledStream& stream, int64_t after, int64_t up_to,
                          const std::function<bool(const SpilledEvent&)>& visitor,
                          const std::function<void(int64_t, std::string_view)>& on_bad_row = nullptr) override;

  Status AddConnection(const ConnectionId& connection) override;
  Status SaveCursor(int64_t stream_id, const Cursor& cursor) override;
  Status KeepLedTo(int64_t stream_id, const LedTo& place) override;
  Status Reject(int64_t stream_id, int64_t ticket, std::string_view reason, const Cursor& cursor) override;
  Result<std::vector<Rejected>> RejectedRows() override { return file().rejected; }
  Status Accept(int64_t stream_id, std::span<const int64_t> tickets) override;
  Status MarkDrained(int64_t now_ms) override;
  Status ResetCursors() override;
  Result<int64_t> FinishAsSealed() override;
  Status Close() override { return {}; }

 private:
  DiskFile& file() const { return *world_->disk.Find(info_.number); }
  DiskStream& StreamOf(int64_t id) const;

  World* const world_;
  const SpillFileInfo info_;
  const std::string undamaged_;
};

}  // namespace sprockets::sim
