// The drain's hold on Redis, over breaks: connects, knows every connection that may still deliver an event, and fences
// them before anything is settled or sent. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replayer/drain/options.h"
#include "replayer/drain/report.h"
#include "replayer/redis/server.h"
#include "shared/base/backoff.h"
#include "shared/base/result.h"
#include "shared/redis/settle.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"

namespace sprockets {

/// Between tries to reach Redis, and to send what it refused.
inline Backoff RetryBackoff() {
  return {50, 2'000};
}

class Session {
 public:
  /// All must outlive the session.
  Session(const DrainOptions& options, const SpillFolder& folder, DrainReport& report, Dial dial);

  /// Connections that no spill file lists: the state file's, where no sidecar runs.
  void Know(const std::vector<ConnectionId>& connections);

  /// The first connection. Fails at once where nobody listens, but waits for a Redis that is loading.
  Status Connect();
  /// After a break: connects again, for up to 30 s, and fences. What was searched before is void.
  Status Recover();
  /// Before a file is drained: kills every connection that any file of the folder lists by now, `file`'s own among
  /// them. Where that is not possible, waits, and fence() is not complete.
  Status FenceFor(SpillFile& file);

  /// Where any file of the folder led events of this stream by an earlier drain: a second copy of one may be there.
  const std::set<std::string>& LedElsewhere(const std::string& stream) { return led_elsewhere_[stream]; }
  /// What a stream is like; see search.h. Says once where it cannot be known well enough to prove an absence.
  Result<StreamFacts> Facts(const std::string& stream);
  /// Does the connection carry as much as `bytes`, there and back, in small pieces and several times over? Kinds of
  /// answers do not count. kUnreachable: it broke.
  Status Probe(size_t bytes);

  Server& server() { return *server_; }
  RedisClient& client() { return server_->client(); }
  const FenceState& fence() const { return fence_; }

 private:
  Status ListFiles();
  Status FenceAll();
  Status WaitOut(const std::vector<ConnectionId>& alive);

  const DrainOptions& options_;
  const SpillFolder& folder_;
  DrainReport& report_;
  const Dial dial_;
  std::optional<Server> server_;
  FenceState fence_;
  std::set<ConnectionId> known_;
  std::map<std::string, std::set<std::string>> led_elsewhere_;
  std::set<int64_t> listed_files_;     // whose connections are in known_, and whose renamed streams in led_elsewhere_
  std::set<ConnectionId> waited_out_;  // could not be killed; the wait for them on this connection is over
  bool waited_for_lost_ = false;       // the same, for connections that nobody can name
  bool connections_lost_ = false;      // of the file under drain
  bool said_incomplete_ = false;
};

}  // namespace sprockets
