// What `archive --admin` serves beside the archive's work. Nothing of it shares a connection or a lock for long with
// that.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "replayer/admin/service_http.h"
#include "replayer/admin/store_watch.h"
#include "replayer/archive/archive_run.h"
#include "replayer/archive/lag_watch.h"
#include "replayer/boards/board_http.h"
#include "shared/base/result.h"

namespace sprockets {

class ArchiveService {
 public:
  /// `set`: the folder of the schema set, whose leaderboards are served, too; empty: there is none. `run` must outlive
  /// it. kUnreachable: the address cannot be listened on.
  static Result<std::unique_ptr<ArchiveService>> Start(const ListenAddress& address, const ArchiveOptions& options,
                                                       const std::filesystem::path& set, const ArchiveRun* run);

 private:
  ArchiveService(const ArchiveOptions& options, const ArchiveRun* run);
  ServiceReport Report() const;
  std::vector<StoreFigures> Stores() const { return {redis_watch_.Figures(), postgres_watch_.Figures()}; }

  const ArchiveRun* const run_;
  const int64_t stalled_after_ms_;
  const WallTime started_;
  LagWatch lag_;
  PostgresProbe postgres_probe_;
  const StoreWatch redis_watch_;
  const StoreWatch postgres_watch_;
  std::optional<BoardHttp> boards_;    // none: the set has none
  std::unique_ptr<ServiceHttp> http_;  // ends first
};

}  // namespace sprockets
