// The commands that the door answers itself, so that every common Redis client connects unchanged. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/door/client_info.h"

namespace sprockets {

/// What INFO tells; the door brings it.
struct ServerInfo {
  int64_t uptime_s = 0;
  int64_t clients = 0;
  std::string sprockets_section;  // "name:value\r\n" lines
};

enum class LocalOutcome {
  kAnswered,        // the reply was appended
  kAnswerAndClose,  // QUIT
  kAdmin,           // SPROCKETS …: somebody else must answer
};

/// Answers any command but XADD, in the client's protocol, as a Redis without data would; an unknown one gets -ERR and
/// the connection stays open. `args` is not empty.
LocalOutcome AnswerLocally(std::span<const std::string_view> args, ClientInfo* client, const ServerInfo& server,
                           std::string* reply);

/// What INFO says beside what Redis does.
std::string SprocketsInfo(const ServerInfo& server);

/// ASCII only, as Redis compares command names.
bool IsCommand(std::string_view word, std::string_view lower_name);

}  // namespace sprockets
