// The sidecar: the loop, and the wiring of its parts: door, router, Redis, disk; the order in which they start and
// stop. Loop thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <uv.h>

#include "shared/ahead/row_supply.h"
#include "shared/base/result.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/start_up.h"
#include "sidecar/admin/admin.h"
#include "sidecar/admin/admin_http.h"
#include "sidecar/admin/reporter.h"
#include "sidecar/config.h"
#include "sidecar/core/intake.h"
#include "sidecar/delivery/delivery.h"
#include "sidecar/disk/disk.h"
#include "sidecar/disk/skip_store.h"
#include "sidecar/door/clients.h"
#include "sidecar/door/listener.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/relay_pool.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

/// Exit codes of the program.
enum SidecarExit { kSidecarStopped = 0, kSidecarUsage = 2, kSidecarUnusable = 3, kSidecarRefused = 4 };

class Sidecar {
 public:
  explicit Sidecar(SidecarConfig config);
  ~Sidecar();

  /// Runs until SIGTERM or SIGINT; returns the exit code.
  int Run();

 private:
  Status Open();
  std::unique_ptr<Delivery> MakeRedisFirst(const OpenedFolder& opened, const std::string& producer,
                                           SpillStore::Options* spill);
  Result<std::unique_ptr<Delivery>> MakeDiskFirst(OpenedFolder* opened, const std::string& producer,
                                                  SpillStore::Options* spill, MovedRows* moved);
  IntakeOptions MakeIntakeOptions(const std::string& producer) const;
  Status ReadEarlierLives(FolderReader& reader);
  Status OpenAdminHttp();
  void WatchLoop();
  void CloseLoop();

  // Once a turn, before the loop sleeps: everything that the turn queued leaves now, together.
  void EndTurn();
  void EverySecond();
  void CollectSpilled();
  void OnUnusable(const std::string& why);
  void BeginStop();
  void ContinueStop();

  const SidecarConfig config_;
  uv_loop_t loop_{};
  LoopClock clock_{&loop_};
  std::optional<DiskFolder> folder_;
  std::optional<FileLock> lock_;
  std::unique_ptr<RelayPool> relay_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<SkipStore> skips_;
  std::unique_ptr<Delivery> delivery_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<AdminHttp> http_;  // its threads read what the reporter publishes
  UvHandle<uv_prepare_t> end_of_turn_;
  UvHandle<uv_signal_t> sigterm_;
  UvHandle<uv_signal_t> sigint_;
  std::unique_ptr<UvTimer> every_second_;
  std::unique_ptr<UvTimer> stop_timer_;
  bool stopping_ = false;
  int exit_code_ = kSidecarStopped;
};

}  // namespace sprockets
