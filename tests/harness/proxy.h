// A network between a client and Redis that does what networks do: holds bytes back, delivers them after the sender
// gave up, cuts connections, answers late, answers something else.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sprockets::harness {

/// Listens on a TCP port of its own for as long as it lives; every connection is led to a Redis. Its methods may
/// be called from any thread; one thread of its own moves the bytes.
class Proxy {
 public:
  enum class Carries { kReplies, kBytes };
  /// What comes from Redis is taken for whole replies, unless it is a stream of bytes, as replication is.
  explicit Proxy(int redis_port, Carries carries = Carries::kReplies);
  /// The same before a server on a Unix socket, of which nothing is known but that it speaks in bytes.
  explicit Proxy(std::filesystem::path socket_path);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  int port() const { return port_; }
  std::string Url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

  /// From now on keeps what the connections that are open now send to Redis. A client that closes does not end its
  /// connection to Redis while held: that is the kernel buffer that delivers when nobody waits any more. Later
  /// connections pass.
  void HoldRequests();
  /// Delivers what was held, and the end of those connections that their clients have closed.
  void ReleaseRequests();
  /// Do the bytes that wait for their release have `text` in them?
  bool Holds(std::string_view text) const;

  enum class Direction { kToRedis, kToClient };
  /// Lets so many more bytes pass in one direction, on whichever connection, and ends that one there: whoever reads
  /// them gets these and no more. The other direction passes as ever until then.
  void CutAfter(Direction direction, size_t bytes);
  /// Did that happen? If not, it will not happen any more.
  bool TakeCut();

  /// Later connections are led to this Redis.
  void LeadTo(int redis_port);
  /// The clients see their connections reset; Redis sees no end while requests are held.
  void CutClients();
  /// New connections are closed at once while `refuse`.
  void RefuseConnections(bool refuse);
  void DelayReplies(std::chrono::milliseconds delay);
  /// Replies trickle, so many bytes a second on each connection.
  void LimitReplies(size_t bytes_a_second);
  /// Redis's next reply that begins with `prefix` is replaced by `replacement`.
  void ReplaceNextReply(std::string prefix, std::string replacement);
  bool replacement_done() const;

 private:
  using Clock = std::chrono::steady_clock;

  struct LateBytes {
    Clock::time_point due;
    std::string bytes;
  };
  struct Link {
    int client = -1;  // -1: closed
    int redis = -1;
    bool held = false;
    std::string to_redis;
    std::string from_redis;  // the beginning of a reply whose rest has not come yet
    std::list<LateBytes> to_client;
  };

  void Listen();
  void Run();
  void Accept();
  void ReadClient(Link& link);
  void ReadRedis(Link& link);
  void WriteRedis(Link& link);
  void WriteClient(Link& link);
  bool WriteUpToCut(Direction direction, int fd, std::string& bytes);
  int PollTimeoutMs() const;
  void Wake();
  static void Close(int& fd);

  const Carries carries_;
  const std::filesystem::path socket_path_;  // empty: it is led to a port
  int port_ = 0;
  int listener_ = -1;
  int wake_read_ = -1;
  int wake_write_ = -1;

  mutable std::mutex mutex_;
  std::list<Link> links_;  // Guarded by mutex_, as is everything down to the thread.
  int redis_port_;
  bool stopping_ = false;
  bool refusing_ = false;
  std::chrono::milliseconds reply_delay_{0};
  size_t bytes_a_second_ = 0;  // 0: as many as there are
  std::optional<std::pair<std::string, std::string>> replacement_;
  struct Cut {
    Direction direction;
    size_t bytes_left;
    bool done = false;
  };
  std::optional<Cut> cut_;

  std::thread thread_;
};

}  // namespace sprockets::harness
