// A spill file in SQLite, as the drainer has it. One thread at a time.
#pragma once

#include <memory>

#include "shared/spill/file.h"

namespace sprockets {

class SqliteFile final : public SpillFile {
 public:
  /// As SpillFolder::OpenFile.
  static Result<SqliteFile> Open(const SpillFileInfo& file);
  SqliteFile(SqliteFile&&) noexcept;
  SqliteFile& operator=(SqliteFile&&) noexcept;
  ~SqliteFile() override;

  const SpillFileInfo& info() const override;
  const std::string& producer() const override;
  const std::string& event_id_field() const override;
  int64_t begun_ms() const override;
  bool connections_lost() const override;
  std::optional<int> database() const override;
  const std::string& server() const override;
  bool names_entries() const override;
  const std::string& wal_damage() const override;
  int64_t drained_ms() const override;
  Status Verify() override;
  Status VerifyAsRead() override;
  Result<std::vector<SpilledStream>> Streams() override;
  Result<std::vector<SpilledStream>> UncountedStreams() override;
  Result<std::vector<ConnectionId>> Connections() override;
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
  Result<std::vector<Rejected>> RejectedRows() override;
  Status Accept(int64_t stream_id, std::span<const int64_t> tickets) override;
  Status MarkDrained(int64_t now_ms) override;
  Status ResetCursors() override;
  Result<int64_t> FinishAsSealed() override;
  Status Close() override;

 private:
  struct Impl;
  explicit SqliteFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sprockets
