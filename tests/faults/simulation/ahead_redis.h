// Simulated Redis servers as `--ack disk` meets them: transactions, a watched guard, entries under given ids, datasets
// that lose their end or are replaced by a replica's, connections whose bytes are applied long after their sender has
// gone. What a server has is the list of everything that was done to it, so that an end can be taken away.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/redis/stream_id.h"

namespace sprockets::sim {

/// One change of a stream.
struct StreamChange {
  enum class Kind { kAdd, kTrim, kDelete } kind = Kind::kAdd;
  std::string stream = {};
  StreamId id = {};        // added, or deleted
  std::string event = {};  // whose entry it is; empty: somebody else's
  size_t most = 0;         // what MAXLEN leaves; trim: how many it leaves
  std::vector<std::string> fields = {};
};

class AheadRedis {
 public:
  struct Server {
    bool up = true;
    bool hung = false;
    std::string refusal;  // of every write
    int process = 1;
    int replication = 1;
    int dataset = 1;  // another one after a resync
    bool is_master = true;
    std::vector<StreamChange> changes;
  };
  struct Connection {
    size_t server = 0;
    int process = 0;
    bool open = true;  // on our side
    std::deque<std::string> sent = {};
    std::deque<std::string> replies = {};
    bool in_transaction = false;
    bool aborted = false;
    std::vector<std::string> queued = {};
    int watched = 0;  // the dataset at the time of WATCH; 0: nothing is watched
  };
  /// A stream as it stands.
  struct View {
    std::vector<const StreamChange*> entries;
    StreamId top;
    StreamId max_deleted;
    size_t added = 0;
  };

  explicit AheadRedis(size_t count) : servers(count) {
    for (size_t i = 1; i < count; ++i) servers[i].is_master = false;
  }

  View Look(size_t server, const std::string& stream) const;
  int64_t Connect();
  /// We let go of it; what was sent may still be applied.
  void Abandon(int64_t connection) { connections.at(connection).open = false; }
  bool Stands(int64_t connection) const { return connections.count(connection) > 0; }
  /// The server takes one command of a connection.
  void Apply(int64_t connection);
  void CrashAndLose(size_t changes_lost);
  /// The other server is promoted with what it had of this one's, and this one follows it.
  void FailOver(size_t lag);
  /// `XADD *` of somebody else, or of another sidecar.
  void AddForeign(const std::string& stream, StreamId id);

  std::vector<Server> servers;
  size_t active = 0;
  std::map<int64_t, Connection> connections;

 private:
  std::string Answer(Connection& connection, const std::vector<std::string_view>& args, const std::string& command);
  std::string Execute(Server& server, const std::vector<std::string_view>& args);
  std::string Exec(Connection& connection);
  void DropConnections(size_t server);

  int64_t next_connection_ = 1;
  int processes_ = 1;
  int replications_ = 1;
  int datasets_ = 1;
};

}  // namespace sprockets::sim
