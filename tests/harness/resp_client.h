// A blocking RESP2 client with deadlines that also sends what no client library would: raw bytes, halves of commands.
// One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/harness/wait.h"

struct redisReader;

namespace sprockets::harness {

struct Reply {
  enum class Type { kBulk, kSimple, kError, kInteger, kNull, kArray };

  Type type = Type::kNull;
  std::string text;  // of a bulk string, a simple string or an error (without its '-')
  int64_t integer = 0;
  std::vector<Reply> elements;

  bool operator==(const Reply&) const = default;
  bool IsError(std::string_view word) const;  // an error that begins with this word
  bool Landed() const;                        // a stream entry's id, as Redis gives it: the event is in its stream
  bool Spilled() const;                       // +0-<ticket>: the event is on disk
  bool Acknowledged() const { return Landed() || Spilled(); }
};

std::ostream& operator<<(std::ostream& out, const Reply& reply);

/// The other side closed or reset the connection, or cannot be reached.
struct ConnectionClosed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Command = std::vector<std::string>;

class RespClient {
 public:
  static RespClient ConnectUnix(const std::filesystem::path& socket_path);
  static RespClient ConnectTcp(int port);
  RespClient(RespClient&&) noexcept;
  RespClient& operator=(RespClient&&) noexcept;
  ~RespClient();

  /// Sends and reads at the same time, so that neither side waits for the other with full buffers.
  void SendRaw(std::string_view bytes, std::chrono::milliseconds limit = kPatience);
  void Send(const Command& command);
  /// How many of `bytes` the other side took before it stopped reading for `quiet`. Reads nothing meanwhile.
  size_t SendUntilBlocked(std::string_view bytes, std::chrono::milliseconds quiet);

  /// The next reply. Throws if none came in time, or ConnectionClosed.
  Reply Read(std::chrono::milliseconds limit = kPatience);
  /// The next reply, or nothing if none came in time.
  std::optional<Reply> TryRead(std::chrono::milliseconds limit);
  Reply Call(const Command& command, std::chrono::milliseconds limit = kPatience);
  std::vector<Reply> Pipeline(std::span<const Command> commands, std::chrono::milliseconds limit = kPatience);
  /// The next `bytes` bytes as they come, for what is not RESP2. Not after a Read that may have taken some of them.
  std::string ReadRaw(size_t bytes, std::chrono::milliseconds limit = kPatience);
  /// Sends a command and returns its reply as it comes, in whatever protocol. Not after a Read either.
  std::string RawCall(const Command& command);
  /// True if the other side closed the connection within `limit`; replies that come before are dropped.
  bool WaitClosed(std::chrono::milliseconds limit = kPatience);
  /// Closes only our sending side.
  void FinishSending();

 private:
  struct ReaderDeleter {
    void operator()(redisReader* reader) const;
  };
  explicit RespClient(int fd);
  void Receive();  // what is there, once; throws ConnectionClosed
  std::optional<Reply> NextParsed();

  int fd_ = -1;
  std::unique_ptr<redisReader, ReaderDeleter> reader_;
};

}  // namespace sprockets::harness
