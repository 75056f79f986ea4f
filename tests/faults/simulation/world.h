// A world in which nothing is real but the decisions: the product's own link's protocol, router, window, breaker, spill
// store, recovery, settler and drain run unchanged over a simulated Redis, disk, clock and clients. Each of those is
// put in through an interface of the product: Wire, SpillFolder (disk.h), Clock.
//
// Everything random comes from one seed, so that a run can be repeated to the last step.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/wire.h"
#include "shared/base/clock.h"
#include "shared/redis/connection_id.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/file.h"
#include "shared/spill/state_file.h"

namespace sprockets::sim {

/// Thrown where the running process is killed: nothing behind that point happens.
struct Killed {};

// ---- Disk: what a power cut or a kill leaves behind. A commit is atomic, as SQLite's is.

struct DiskRow {
  int64_t ticket = 0;
  int64_t received_ms = 0;
  std::optional<Doubt> doubt;
  std::vector<std::string> options;
  std::vector<std::string> fields;
  size_t event_id_at = 0;
  bool own_id = false;
  std::optional<StreamId> id;
  int64_t origin = 0;
};

struct DiskStream {
  int64_t id = 0;
  std::string name;
  StreamId tail;
  std::vector<DiskRow> rows;
  Cursor cursor;
  std::vector<LedTo> led_to;
};

struct DiskFile {
  SpillFileInfo info;
  SpillWriter::Options options;
  std::vector<DiskStream> streams;
  std::vector<ConnectionId> connections;
  std::vector<SpillFile::Rejected> rejected;
  int64_t drained_ms = 0;
  bool held_by_sidecar = false;
};

/// Lists a connection, which may be listed already.
inline void AddOnce(std::vector<ConnectionId>& listed, const ConnectionId& connection) {
  if (std::find(listed.begin(), listed.end(), connection) == listed.end()) listed.push_back(connection);
}

struct Disk {
  /// Null: there is no such file.
  DiskFile* Find(int64_t number) {
    const auto found = files.find(number);
    return found == files.end() ? nullptr : &found->second;
  }

  std::map<int64_t, DiskFile> files;
  std::optional<StateStore::Content> state;
  bool writing_locked = false;
  bool draining_locked = false;
};

// ---- Redis

struct Entry {
  StreamId id;
  std::vector<std::string> fields;
};

struct Stream {
  std::vector<Entry> entries;
  StreamId last_id;
  StreamId max_deleted;
  uint64_t added = 0;
};

/// A connection as the server sees it: what was sent may be applied long after the sender has gone.
struct Peer {
  std::deque<std::string> sent;     // commands on their way
  std::deque<std::string> replies;  // answers on their way back
};

class Redis {
 public:
  explicit Redis(std::mt19937_64* random) : random_(random) { Restart(); }

  bool up = true;
  bool stopped = false;    // SIGSTOP: takes bytes, applies nothing
  std::string refusal;     // what every XADD is answered, if not empty; one of no known class may have been applied
  std::string bad_stream;  // this one alone is refused
  std::map<int64_t, Peer> peers;
  std::map<std::string, Stream> streams;
  std::map<std::string, int> applied;  // how often each event was ever applied, by stream, id and payload
  std::set<std::string> forgotten;     // those of them that a crash took away
  int64_t now_ms = 1'000'000;

  const std::string& run_id() const { return run_id_; }
  int64_t Accept();
  bool alive(int64_t peer) const { return up && peers.count(peer) > 0; }
  /// Applies the oldest command of a peer and queues the reply.
  void ApplyOne(int64_t peer);
  /// CLIENT KILL ID: what the peer has sent is never applied.
  bool Kill(int64_t peer) { return peers.erase(peer) > 0; }
  /// kill -9 and a start with what it had (append-only file, always): commands may have been applied and not answered.
  void Crash();
  /// The same, but it comes back without its last entries, as from an older data set, and perhaps with a clock that is
  /// behind: it gives lower ids than before.
  void CrashAndForget();
  void Trim(const std::string& stream, size_t keep);
  void Delete(const std::string& stream, size_t index);

 private:
  void Restart();
  std::string Apply(int64_t peer, const std::vector<std::string_view>& args);
  std::string Xadd(const std::vector<std::string_view>& args);
  std::string Range(const std::vector<std::string_view>& args, bool reverse) const;
  std::string Xinfo(const std::string& name) const;

  std::mt19937_64* random_;
  std::string run_id_;
  int64_t next_client_id_ = 1;
  int64_t clock_behind_ms_ = 0;
  int lives_ = 0;
};

// ---- The world

/// How often things go wrong, each in a thousand.
struct Faults {
  int commit_fails = 0;  // and nothing is stored
  int commit_fails_but_appears = 0;
  int append_fails = 0;
  int marker_fails = 0;
  int record_fails = 0;
  int handshake_pauses = 0;  // of the sidecar: other things happen before it goes on
  int drain_connection_breaks = 0;
  int redis_forgets = 0;
  int kill = 0;        // of the running process, at any step
  int background = 0;  // something else happens while the drain works
};

class World;

/// The world's time, which nothing but the world's steps takes.
class WorldClock final : public Clock {
 public:
  explicit WorldClock(World* world) : world_(world) {}
  int64_t WallMs() override;
  int64_t SteadyMs() override { return WallMs(); }
  /// Equally long, however long: the drain's jitter is truly random, and a run must be repeatable.
  void Sleep(int64_t ms, const std::function<bool()>& is_over) override;

 private:
  World* const world_;
};

class World {
 public:
  explicit World(uint64_t seed);
  ~World();

  /// True n times in a thousand.
  bool Chance(int in_thousand) { return in_thousand > 0 && static_cast<int>(random() % 1000) < in_thousand; }
  /// A step of the running process that a kill may precede. Part of the trace.
  void Step(std::string_view what);
  void Trace(std::string_view what);

  std::mt19937_64 random;
  Faults faults;
  Disk disk;
  Redis redis;
  uint64_t trace = 1469598103934665603ull;  // FNV-1a of everything that happened
  int64_t steps = 0;
  int64_t kill_at_step = -1;  // for sweeps
  const bool prints;          // the story of the run, with SPROCKETS_PRINT in the environment
  bool in_process = false;    // a process runs: only then it can be killed
  /// What happens elsewhere while the drain waits or works.
  std::function<void()> elsewhere;
  /// SPROCKETS SEAL, over the socket.
  std::function<Status()> seal;

 private:
  WorldClock clock_{this};
  const ClockInPlace clock_in_place_{&clock_};
};

/// The world that the simulated parts live in; one at a time.
World& TheWorld();

/// The drain's connections in it.
Result<std::unique_ptr<Wire>> DialInWorld(const RedisUrl& url, int64_t deadline_ms);

}  // namespace sprockets::sim
