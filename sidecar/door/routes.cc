#include "sidecar/door/routes.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "sidecar/door/local_commands.h"

namespace sprockets {

namespace {

using Args = std::span<const std::string_view>;
using Answer = RelaySession::Answer;
using Transaction = ClientInfo::Transaction;
using Kind = CommandKind;
using Way = Route::Way;

Kind KindOf(std::string_view name) {
  static const std::unordered_map<std::string, Kind> kKinds = {
      {"xadd", Kind::kXadd},
      {"ping", Kind::kPing},
      {"echo", Kind::kLocal},
      {"cluster", Kind::kLocal},
      {"readonly", Kind::kLocal},
      {"readwrite", Kind::kLocal},
      {"role", Kind::kLocal},
      {"command", Kind::kLocalWithoutRedis},
      {"info", Kind::kInfo},
      {"client", Kind::kClient},
      {"config", Kind::kConfig},
      {"hello", Kind::kHello},
      {"reset", Kind::kReset},
      {"quit", Kind::kQuit},
      {"auth", Kind::kOfConnection},
      {"select", Kind::kOfConnection},
      {"sprockets", Kind::kOfConnection},
      {"multi", Kind::kMulti},
      {"exec", Kind::kExec},
      {"discard", Kind::kDiscard},
      {"watch", Kind::kWatch},
      {"unwatch", Kind::kUnwatch},
      {"subscribe", Kind::kSubscription},
      {"psubscribe", Kind::kSubscription},
      {"unsubscribe", Kind::kSubscription},
      {"punsubscribe", Kind::kSubscription},
      {"ssubscribe", Kind::kShardSubscription},
      {"sunsubscribe", Kind::kShardSubscription},
      {"shutdown", Kind::kForbidden},
      {"replicaof", Kind::kForbidden},
      {"slaveof", Kind::kForbidden},
      {"failover", Kind::kForbidden},
      {"debug", Kind::kForbidden},
      {"module", Kind::kForbidden},
      {"psync", Kind::kForbidden},
      {"sync", Kind::kForbidden},
      {"replconf", Kind::kForbidden},
      {"monitor", Kind::kForbidden},
  };
  const auto found = kKinds.find(LowerCase(name.substr(0, 32)));
  return found == kKinds.end() ? Kind::kOther : found->second;
}

// They end or change what all others depend on; one word, or a command and its subcommand.
constexpr std::array<std::string_view, 12> kForbidden = {
    "shutdown",   "replicaof",      "slaveof",          "failover",    "debug",        "module",
    "config set", "config rewrite", "config resetstat", "client kill", "client pause", "client unpause"};
// After these nobody knows which reply answers what.
constexpr std::array<std::string_view, 5> kImpossible = {"psync", "sync", "replconf", "monitor", "client reply"};

template <typename Names>
bool Has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Route Refuse(std::string_view text, Way way = Way::kRefuse) {
  Route route{way};
  AppendError(route.text, text);
  return route;
}

Route Send(Answer answer = Answer::kReply) {
  Route route{Way::kRelay};
  route.answer = answer;
  return route;
}

// An id that the client gives: its event cannot wait, for the stream may have passed that id by then.
bool HasGivenId(Args args) {
  size_t at = 2;
  while (at < args.size()) {
    if (IsCommand(args[at], "nomkstream")) {
      ++at;
    } else if (IsCommand(args[at], "maxlen") || IsCommand(args[at], "minid")) {
      const bool has_operator = at + 1 < args.size() && (args[at + 1] == "=" || args[at + 1] == "~");
      at += has_operator ? 3 : 2;
    } else if (IsCommand(args[at], "limit")) {
      at += 2;
    } else {
      break;
    }
  }
  return at < args.size() && !args[at].empty() && args[at][0] >= '0' && args[at][0] <= '9';
}

// Of CLIENT: what the door answers as it answers HELLO, for clients send it when they connect.
bool IsLocalOfClient(Args args) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "setname", "setinfo", "getname", "id", "info", "list", "no-evict", "no-touch", "maint_notifications"};
  return args.size() > 1 &&
         std::any_of(kNames.begin(), kNames.end(), [&](std::string_view name) { return IsCommand(args[1], name); });
}

bool SwitchesProtocol(Args args) {
  return args.size() == 2 && (args[1] == "2" || args[1] == "3");
}

constexpr std::string_view kStreamNotAccepted = "INVALID the sidecar does not accept this stream (see --streams)";
constexpr std::string_view kAway = "RETRY Redis is away, so this command was not executed";

}  // namespace

Routes::Routes(Options options)
    : relay_(options.relay), streams_(std::move(options.streams)), skips_(std::move(options.skips)) {
  for (const std::string& command : options.allowed) allowed_.insert(LowerCase(command));
}

Status Routes::CheckAllowed(std::string_view command) {
  const std::string name = LowerCase(command);
  if (Has(kImpossible, name)) return UsageError("'" + Escape(command) + "' can never be relayed");
  if (Has(kForbidden, name)) return {};
  std::string names;
  for (const std::string_view forbidden : kForbidden) names.append(names.empty() ? "" : ", ").append(forbidden);
  return UsageError("'" + Escape(command) + "' is not one of the commands that must be allowed: " + names);
}

Route Routes::Of(Args args, const ClientInfo& client, const RelaySession& session, bool available) const {
  const Kind kind = KindOf(args[0]);
  Route route = Choose(kind, args, client, session, available);
  route.kind = kind;
  route.after_all = kind == Kind::kHello || kind == Kind::kReset;
  return route;
}

Route Routes::Choose(Kind kind, Args args, const ClientInfo& client, const RelaySession& session,
                     bool available) const {
  if (!relay_) {
    if (kind != Kind::kXadd) return {Way::kLocal};
    if (client.transaction == Transaction::kNone) return {Way::kEvent};
    return Refuse(
        "ERR the sidecar does not support MULTI (--relay off), so this XADD was not stored: send it without a "
        "transaction");
  }
  // In RESP2 a subscriber can send nothing else. Whether it is one may not be known yet.
  const bool is_subscription = kind == Kind::kSubscription || kind == Kind::kShardSubscription;
  const bool stays_allowed = is_subscription || kind == Kind::kQuit || kind == Kind::kReset;
  if (client.protocol == 2 && session.subscribed() && !stays_allowed) {
    if (kind == Kind::kPing) return Send(Answer::kSubscription);
    return Refuse("ERR Can't execute '" + Escape(LowerCase(args[0]), 64) +
                  "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context");
  }
  Route route = client.transaction == Transaction::kNone ? Relayed(kind, args, client, available)
                                                         : InTransaction(kind, args, client);
  route.after_subscription = client.protocol == 2 && !stays_allowed;
  return route;
}

// What may follow a MULTI.
Route Routes::InTransaction(Kind kind, Args args, const ClientInfo& client) const {
  if (kind == Kind::kQuit || kind == Kind::kReset) return {Way::kLocal};
  if (client.transaction == Transaction::kRefused) {
    if (kind == Kind::kExec || kind == Kind::kDiscard) return {Way::kLocal};
    return Refuse("ERR this transaction was refused, so nothing of it is executed: end it with EXEC or DISCARD");
  }
  const std::string forbidden = Forbidden(kind, args);
  if (!forbidden.empty()) return Refuse(forbidden, Way::kAbort);
  const bool is_subscription = kind == Kind::kSubscription || kind == Kind::kShardSubscription;
  if (is_subscription || kind == Kind::kOfConnection || (kind == Kind::kHello && !SwitchesProtocol(args)))
    return Refuse("ERR the sidecar does not support " + Escape(args[0], 64) + " in a transaction", Way::kAbort);
  return Send(kind == Kind::kExec ? Answer::kExec : Answer::kReply);
}

Route Routes::Relayed(Kind kind, Args args, const ClientInfo& client, bool available) const {
  switch (kind) {
    case Kind::kXadd:
      if (!HasGivenId(args)) return {Way::kEvent};
      break;
    case Kind::kLocal:
    case Kind::kPing:
    case Kind::kHello:
    case Kind::kReset:
    case Kind::kQuit:
    case Kind::kOfConnection:
      return {Way::kLocal};
    case Kind::kClient:
      if (IsLocalOfClient(args)) return {Way::kLocal};
      break;
    case Kind::kInfo:
      if (!available || (args.size() == 2 && IsCommand(args[1], "sprockets"))) return {Way::kLocal};
      if (args.size() == 1) return Send(Answer::kInfo);
      break;
    case Kind::kLocalWithoutRedis:
      if (!available) return {Way::kLocal};
      break;
    case Kind::kConfig:
      if (!available && args.size() > 1 && IsCommand(args[1], "get")) return {Way::kLocal};
      break;
    default:
      break;
  }
  const std::string forbidden = Forbidden(kind, args);
  if (!forbidden.empty()) return Refuse(forbidden);
  std::optional<SkippedCommand> skipped = skips_.Find(args, client.protocol);
  if (skipped) {
    Route route = available ? Send(Answer::kSkippable) : Route{Way::kSkip};
    route.skipped = std::move(skipped);
    return route;
  }
  if (!available) return Refuse(kAway);
  if (kind == Kind::kMulti && client.watch_lost)
    return Refuse("RETRY the connection that watched keys was lost: begin with WATCH again");
  if (kind == Kind::kSubscription) return Send(Answer::kSubscription);
  if (kind == Kind::kShardSubscription) return Send(Answer::kShardSubscription);
  return Send();
}

// Why a command does not pass, in words; empty: it does.
std::string Routes::Forbidden(Kind kind, Args args) const {
  if (kind == Kind::kXadd && args.size() > 1 && !GlobMatchAny(streams_, args[1]))
    return std::string(kStreamNotAccepted);
  const bool has_subcommand = (kind == Kind::kClient || kind == Kind::kConfig) && args.size() > 1;
  if (kind != Kind::kForbidden && !has_subcommand) return {};
  std::string command = LowerCase(args[0]);
  if (has_subcommand) command.append(" ").append(LowerCase(args[1].substr(0, 32)));
  if (Has(kImpossible, command))
    return "ERR " + Escape(command) + " does not pass the sidecar: send it to Redis itself";
  if (Has(kForbidden, command) && !allowed_.contains(command))
    return "ERR " + Escape(command) + " does not pass the sidecar (see --relay-allow): send it to Redis itself";
  return {};
}

void Routes::Follow(Args args, const Route& route, ClientInfo* client) {
  const Kind kind = route.kind;
  if (route.way == Way::kAbort || (route.way == Way::kRefuse && kind == Kind::kMulti)) {
    client->transaction = Transaction::kRefused;
    client->protocol_at_exec = 0;
    client->watches = false;
  }
  if (route.way != Way::kRelay) return;
  const bool in_transaction = client->transaction == Transaction::kOpen;
  switch (kind) {
    case Kind::kMulti:
      client->transaction = Transaction::kOpen;
      break;
    case Kind::kExec:
    case Kind::kDiscard:
      client->transaction = Transaction::kNone;
      client->watches = false;
      if (kind == Kind::kDiscard) client->protocol_at_exec = 0;
      break;
    case Kind::kWatch:
      if (!in_transaction) client->watches = true;
      break;
    case Kind::kUnwatch:
      if (!in_transaction) client->watches = client->watch_lost = false;
      break;
    case Kind::kHello:
      client->protocol_at_exec = args[1] == "3" ? 3 : 2;
      break;
    case Kind::kClient:
      if (args.size() > 2 && IsCommand(args[1], "tracking")) client->tracks = IsCommand(args[2], "on");
      break;
    default:
      break;
  }
}

}  // namespace sprockets
