// The active file in SQLite. One thread.
#pragma once

#include <memory>

#include "shared/spill/disk_folder.h"
#include "shared/spill/file.h"

namespace sprockets {

class SqliteWriter final : public SpillWriter {
 public:
  /// As SpillFolder::CreateActive.
  static Result<std::unique_ptr<SqliteWriter>> Create(const DiskFolder& folder, Options options);
  ~SqliteWriter() override;

  Status Begin() override;
  Status AppendAll(std::span<const SpillRow> rows) override;
  Status AddConnections(std::span<const ConnectionId> connections) override;
  Status Commit() override;
  void Rollback() override;
  Status Sync() override;
  int64_t number() const override;
  int64_t rows() const override;
  int64_t FileBytes() const override;
  int64_t WalBytes() const override;
  int64_t oldest_received_ms() const override;
  Status CheckpointIfDue(bool force = false) override;
  Status Seal(const SpillFolder& folder) override;
  void Abandon() override;

 private:
  struct Impl;
  explicit SqliteWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sprockets
