// What passes between a sidecar with `--ack disk` and Redis from a connection that stands to one on which streams are
// placed. Pure: it says what to send, and is told what came back.
//
// A key that nobody else writes, the guard, is watched from then on: as it exists, a transaction fails when the dataset
// was replaced under the connection. And under each new run_id a transaction of two writes comes first: Redis 7.0
// leaves the beginning of a transaction in an append-only file that was cut inside it, and would lose all that follows
// unless an EXEC comes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shared/ahead/journal.h"
#include "shared/redis/answer.h"
#include "shared/redis/url.h"

namespace sprockets {

inline constexpr std::string_view kGuardKey = "sprockets:guard";

class Greeting {
 public:
  struct Wait {};
  struct Send {
    std::string commands;
    size_t answers;
  };
  struct Ready {};
  struct Refused {
    std::string why;
    bool for_ever = false;  // this user, or this server, can never do
  };
  using Step = std::variant<Wait, Send, Ready, Refused>;

  /// `client_name`: what Redis's CLIENT LIST shows. `mended`: under this run_id the transaction has been made already.
  Greeting(const RedisUrl& url, std::string_view client_name, std::string mended);

  Send Begin();
  Step TakeAnswer(const RedisAnswer& answer);

  const Incarnation& incarnation() const { return incarnation_; }
  /// This user may not touch the guard: promises hold only if a change of roles closes connections.
  bool guarded() const { return guarded_; }

 private:
  enum class Ask { kLogin, kOther, kInfo, kMulti, kQueued, kExec, kSetGuard, kWatch, kInfoAgain };

  void Add(Ask ask, std::string command);
  void AskForGuard();
  Step TakeInfo(const RedisAnswer& answer, bool again);

  std::vector<Ask> asked_;
  size_t answered_ = 0;
  std::string commands_;
  size_t added_ = 0;
  const std::string mended_;
  Incarnation incarnation_;
  bool guarded_ = true;
};

/// What to say where MULTI or EXEC is denied.
inline constexpr std::string_view kNeedsTransactions =
    "--ack disk needs transactions, and Redis refuses them: give the sidecar's user +multi +exec +watch, or use "
    "--ack redis";
/// This user may not, or this server cannot.
bool IsDenied(const RedisAnswer& answer);

/// INFO, as far as it concerns `--ack disk`: nothing if this is a master that takes commands, else why not.
std::optional<std::string> NoMaster(std::string_view info);

}  // namespace sprockets
