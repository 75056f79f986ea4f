#include "sidecar/core/handshake.h"

#include "shared/redis/error.h"
#include "shared/redis/info.h"
#include "shared/redis/login.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

// No client of any server has this id, so the answer tells whether we may ask, and kills nobody.
constexpr std::string_view kNobody = "9223372036854775807";
// A key that ACL patterns hardly cover: only a denial of the command itself counts.
constexpr std::string_view kProbeKey = "sprockets:probe";

// NOPERM is one class for a command and for a key, and servers word it differently: only what certainly speaks of the
// command is told as missing. What the key alone forbids says nothing about the streams.
bool CommandDenied(const Handshake::Answer& answer) {
  if (!answer.is_error) return false;
  if (IsNoPermission(answer.text)) return answer.text.find("to run the '") != std::string_view::npos;
  return answer.text.starts_with("ERR unknown command");
}

}  // namespace

std::vector<HandshakeStep> HandshakeSteps(const RedisUrl& url) {
  using Kind = HandshakeStep::Kind;
  std::vector<HandshakeStep> steps;
  if (std::string auth = AuthCommand(url); !auth.empty()) steps.push_back({Kind::kAuth, std::move(auth)});
  if (url.database != 0) steps.push_back({Kind::kSelect, MakeCommand({"SELECT", std::to_string(url.database)})});
  steps.push_back({Kind::kName, MakeCommand({"CLIENT", "SETNAME", "sprockets-sidecar"})});
  steps.push_back({Kind::kInfo, MakeCommand({"INFO"})});
  steps.push_back({Kind::kClientId, MakeCommand({"CLIENT", "ID"})});
  steps.push_back({Kind::kMayKill, MakeCommand({"CLIENT", "KILL", "ID", kNobody})});
  steps.push_back({Kind::kMayRange, MakeCommand({"XREVRANGE", kProbeKey, "+", "-", "COUNT", "1"})});
  steps.push_back({Kind::kMayXinfo, MakeCommand({"XINFO", "STREAM", kProbeKey})});
  steps.push_back({Kind::kAppendFsync, MakeCommand({"CONFIG", "GET", "appendfsync"})});
  return steps;
}

void Handshake::Take(HandshakeStep::Kind kind, const Answer& answer) {
  using Kind = HandshakeStep::Kind;
  switch (kind) {
    case Kind::kAuth:
    case Kind::kSelect:
      if (answer.is_error && refusal.empty()) refusal = WithoutArguments(answer.text);
      break;
    case Kind::kName:
      break;
    case Kind::kInfo:
      if (!answer.is_error) return TakeInfo(answer.text);
      if (!IsNoPermission(answer.text) && refusal.empty()) refusal = answer.text;
      break;
    case Kind::kClientId:
      if (answer.integer) client_id = *answer.integer;
      break;
    case Kind::kMayKill:
      may_kill = answer.integer.has_value();
      break;
    case Kind::kMayRange:
      may_range = !CommandDenied(answer);
      break;
    case Kind::kMayXinfo:
      may_xinfo = !CommandDenied(answer);
      break;
    case Kind::kAppendFsync:
      if (!answer.is_error) append_fsync = answer.text;
      break;
  }
}

void Handshake::TakeInfo(std::string_view info) {
  run_id = InfoField(info, "run_id");
  replication_id = InfoField(info, "master_replid");
  version = InfoField(info, "redis_version");
  cluster = InfoField(info, "cluster_enabled") == "1";
  aof_enabled = InfoField(info, "aof_enabled");
  if (!refusal.empty()) return;
  if (cluster) refusal = "the server is in cluster mode, which is not supported: give the address of a single server";
  if (InfoField(info, "loading") == "1") refusal = "LOADING the server is loading its data";
  const std::string_view role = InfoField(info, "role");
  if (role.empty()) refusal = "what the server answers to INFO names no role, so it is no Redis";
  if (!role.empty() && role != "master") refusal = "READONLY the server is a replica: give the address of its master";
}

Durability Handshake::durability() const {
  if (aof_enabled == "0") return Durability::kNone;
  if (aof_enabled != "1" || append_fsync.empty()) return Durability::kUnknown;
  return append_fsync == "always" ? Durability::kAlways : Durability::kEverySecond;
}

std::string_view NameOf(Durability durability) {
  switch (durability) {
    case Durability::kUnknown:
      return "unknown";
    case Durability::kNone:
      return "none";
    case Durability::kEverySecond:
      return "everysec";
    case Durability::kAlways:
      return "always";
  }
  return "unknown";
}

std::string_view MeaningOf(Durability durability) {
  switch (durability) {
    case Durability::kUnknown:
      return "the sidecar's user may not read appendfsync (CONFIG GET), so nobody knows what a crash of Redis loses";
    case Durability::kNone:
      return "Redis runs with appendonly no: when it crashes, acknowledged events since its last snapshot are lost";
    case Durability::kEverySecond:
      return "Redis does not sync before it answers: when it crashes, the last second of acknowledged events can be "
             "lost";
    case Durability::kAlways:
      return "Redis syncs before it answers (appendfsync always): a crash loses no acknowledged event";
  }
  return {};
}

std::string Handshake::MissingRights() const {
  std::string missing;
  const auto add = [&](std::string_view what) {
    if (!missing.empty()) missing += "; ";
    missing += what;
  };
  if (run_id.empty())
    add("INFO: the sidecar cannot see a restart of Redis, so the drain cannot prove that an event in doubt is missing");
  if (client_id == 0)
    add("CLIENT ID: the drain cannot identify the sidecar's old connections, so it cannot close them");
  if (!may_kill) add("CLIENT KILL: old connections cannot be closed; waiting for --fence-wait instead proves nothing");
  if (!may_range)
    add("XREVRANGE: the drain must search whole streams, and an event that a client sends again after a restart may be "
        "there twice");
  if (!may_xinfo) add("XINFO: a drain by this user cannot prove that an event is missing");
  return missing;
}

}  // namespace sprockets
