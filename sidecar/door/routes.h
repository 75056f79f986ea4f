// Which way a client's command goes: the door's own XADD, an answer of the door, or Redis over the client's own
// connection. Pure.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "sidecar/core/relay_session.h"
#include "sidecar/core/skip_rules.h"
#include "sidecar/door/client_info.h"

namespace sprockets {

/// What a command's name says of its way.
enum class CommandKind {
  kOther,
  kXadd,
  kLocal,              // the door answers, always
  kLocalWithoutRedis,  // the door answers where Redis is away, so that clients can start
  kOfConnection,       // AUTH, SELECT, SPROCKETS: about the door, so not for a transaction of Redis
  kForbidden,          // it would end or change what all others depend on
  kInfo,
  kClient,
  kConfig,
  kHello,
  kReset,
  kQuit,
  kPing,
  kMulti,
  kExec,
  kDiscard,
  kWatch,
  kUnwatch,
  kSubscription,
  kShardSubscription,
};

struct Route {
  enum class Way {
    kEvent,   // the door's own XADD, with all of its promises
    kLocal,   // AnswerLocally
    kRelay,   // to Redis
    kRefuse,  // `text` is the answer
    kAbort,   // likewise, and the transaction that Redis has queued must not be executed
    kSkip,    // not stored, but remembered: see `skipped`
  };

  Way way = Way::kLocal;
  CommandKind kind = CommandKind::kOther;
  RelaySession::Answer answer = RelaySession::Answer::kReply;
  std::string text = {};  // in RESP
  /// Of kSkip; of kRelay, what becomes of the command if Redis does not take it.
  std::optional<SkippedCommand> skipped = {};
  /// Whether it may be handled depends on a subscription that is not answered yet.
  bool after_subscription = false;
  /// HELLO, RESET: what the client sent before must be answered in the old way.
  bool after_all = false;
};

class Routes {
 public:
  struct Options {
    bool relay = true;
    std::vector<std::string> allowed = {};  // --relay-allow: commands, in any case, as in "CONFIG SET"
    std::vector<std::string> streams = {};  // --streams: globs; empty: every stream
    std::vector<SkipRule> skips = {};       // --skip-while-away
  };

  explicit Routes(Options options);
  /// kUsage: a command that can never be relayed, or need not be allowed.
  static Status CheckAllowed(std::string_view command);

  bool relay() const { return relay_; }
  /// `available`: Redis is there, or the client's connection stands. `args` is not empty.
  Route Of(std::span<const std::string_view> args, const ClientInfo& client, const RelaySession& session,
           bool available) const;
  /// What the command makes of the client, once it has gone that way.
  static void Follow(std::span<const std::string_view> args, const Route& route, ClientInfo* client);

 private:
  Route Choose(CommandKind kind, std::span<const std::string_view> args, const ClientInfo& client,
               const RelaySession& session, bool available) const;
  Route InTransaction(CommandKind kind, std::span<const std::string_view> args, const ClientInfo& client) const;
  Route Relayed(CommandKind kind, std::span<const std::string_view> args, const ClientInfo& client,
                bool available) const;
  std::string Forbidden(CommandKind kind, std::span<const std::string_view> args) const;

  const bool relay_;
  std::set<std::string> allowed_;  // lower case
  const std::vector<std::string> streams_;
  const SkipRules skips_;
};

}  // namespace sprockets
