// The commands that the door answers itself, so that every common Redis client connects unchanged. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sprockets {

/// What the door remembers of one client.
struct ClientInfo {
  int64_t id = 0;
  std::string name;  // CLIENT SETNAME
  /// Between a MULTI, which is refused here, and what ends it: clients take what stands in there for one transaction
  /// and report it as failed, so nothing of it may be stored.
  bool in_refused_transaction = false;
};

/// The answer to an XADD in a refused transaction.
inline constexpr std::string_view kRefusedInTransaction =
    "-ERR the sidecar does not support MULTI, so this XADD was not stored: send it without a transaction\r\n";

/// What INFO tells; the door brings it.
struct ServerInfo {
  int64_t uptime_s = 0;
  int64_t clients = 0;
  std::string sprockets_section;  // "name:value\r\n" lines
};

enum class LocalOutcome {
  kAnswered,        // the reply was appended
  kAnswerAndClose,  // QUIT
  kAdminStatus,     // SPROCKETS STATUS: somebody else must answer
  kAdminSeal,       // SPROCKETS SEAL
};

/// Answers any command but XADD; an unknown one gets -ERR and the connection stays open. `args` is not empty.
LocalOutcome AnswerLocally(std::span<const std::string_view> args, ClientInfo* client, const ServerInfo& server,
                           std::string* reply);

/// ASCII only, as Redis compares command names.
bool IsCommand(std::string_view word, std::string_view lower_name);

}  // namespace sprockets
