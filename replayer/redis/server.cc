// Who is the server, and the fence.
#include "replayer/redis/server.h"

#include <algorithm>
#include <memory>
#include <netdb.h>
#include <set>

#include "shared/base/clock.h"
#include "shared/redis/error.h"
#include "shared/redis/info.h"

namespace sprockets {
namespace {

constexpr std::string_view kClusterWayOut =
    "the server is in cluster mode, which is not supported: give the address of a Redis without cluster-enabled";

/// What an error during the first steps means: a login that is wanted is final, anything else may pass.
Error AtFirstSteps(std::string_view error) {
  const bool login = error.starts_with("NOAUTH") || error.starts_with("WRONGPASS") || IsNoPermission(error);
  return {login ? ErrorCode::kRefused : ErrorCode::kUnreachable, "Redis answers: " + std::string(error)};
}

Status CheckRole(std::string_view role) {
  if (role == "master") return {};
  return Error{ErrorCode::kRefused, "the server's role is " + std::string(role) + ": give the address of the master"};
}

/// Every address of a host and port, as the bytes of a socket's address.
std::set<std::string> Resolve(const RedisUrl& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &list) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  std::set<std::string> addresses;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next)
    addresses.emplace(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen);
  return addresses;
}

}  // namespace

bool IsSameAddress(const RedisUrl& one, const RedisUrl& other) {
  if (one.Server() == other.Server()) return true;
  if (!one.socket_path.empty() || !other.socket_path.empty()) return false;
  const std::set<std::string> others = Resolve(other);
  const std::set<std::string> ours = Resolve(one);
  return std::any_of(ours.begin(), ours.end(), [&](const std::string& address) { return others.contains(address); });
}

Result<Server> Server::Connect(const RedisUrl& url, int64_t deadline_ms, const Dial& dial) {
  ASSIGN_OR_RETURN(RedisClient client, RedisClient::Connect(url, deadline_ms, dial));
  Server server(std::move(client));
  RETURN_IF_ERROR(server.Identify().Prefixed(url.ForLogs()));
  return server;
}

Status Server::Identify() {
  ASSIGN_OR_RETURN(const RedisClient::Reply id, client_.Call({"CLIENT", "ID"}));
  if (IsError(*id)) return AtFirstSteps(TextOf(*id));
  self_.client_id = id->integer;
  ASSIGN_OR_RETURN(const RedisClient::Reply info, client_.Call({"INFO"}));
  answered_ms_ = SteadyClockMs();
  if (!IsError(*info)) return ReadInfo(TextOf(*info));
  if (!IsNoPermission(TextOf(*info))) return AtFirstSteps(TextOf(*info));
  return ReadHello();
}

Status Server::ReadInfo(std::string_view info) {
  if (InfoField(info, "loading") == "1") return Error{ErrorCode::kBusy, "Redis is loading its data"};
  if (InfoField(info, "cluster_enabled") == "1") return Error{ErrorCode::kRefused, std::string(kClusterWayOut)};
  self_.run_id = InfoField(info, "run_id");
  return CheckRole(InfoField(info, "role"));
}

/// Where INFO is forbidden, HELLO still says role and mode (but not the run_id).
Status Server::ReadHello() {
  ASSIGN_OR_RETURN(const RedisClient::Reply hello, client_.Call({"HELLO", "2"}));
  if (IsError(*hello)) return AtFirstSteps(TextOf(*hello));
  std::string_view role = "unknown";
  for (size_t i = 0; i + 1 < hello->elements; i += 2) {
    const std::string_view value = TextOf(*hello->element[i + 1]);
    if (TextOf(*hello->element[i]) == "role") role = value;
    if (TextOf(*hello->element[i]) == "mode" && value == "cluster")
      return Error{ErrorCode::kRefused, std::string(kClusterWayOut)};
  }
  return CheckRole(role);
}

Result<Fence> Server::Kill(const std::vector<ConnectionId>& listed) {
  Fence fence(listed, self_, true);  // whether we may is found out by trying
  for (const ConnectionId& connection : fence.to_kill()) {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply,
                     client_.Call({"CLIENT", "KILL", "ID", std::to_string(connection.client_id)}));
    fence.TakeAnswer(reply->type == REDIS_REPLY_INTEGER);
  }
  return fence;
}

}  // namespace sprockets
