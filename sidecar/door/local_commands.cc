#include "sidecar/door/local_commands.h"

#include <algorithm>
#include <array>

#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

// What clients take us for: some decide by it which commands to send.
constexpr std::string_view kRedisVersion = "7.0.0";

using Args = std::span<const std::string_view>;

void Ok(std::string* reply) {
  AppendSimple(*reply, "OK");
}

void WrongArity(std::string_view command, std::string* reply) {
  AppendError(*reply, "ERR wrong number of arguments for '" + Escape(command, 64) + "' command");
}

void Unknown(Args args, std::string* reply) {
  std::string text = "ERR unknown command '" + Escape(args[0], 64) + "', with args beginning with: ";
  for (const std::string_view arg : args.subspan(1, std::min<size_t>(args.size() - 1, 4)))
    text += "'" + Escape(arg, 32) + "' ";
  AppendError(*reply, text);
}

// HELLO [2 [AUTH user password] [SETNAME name]]
void Hello(Args args, ClientInfo* client, std::string* reply) {
  if (args.size() > 1 && args[1] != "2") return AppendError(*reply, "NOPROTO unsupported protocol version");
  for (size_t i = 2; i < args.size();) {
    if (IsCommand(args[i], "auth") && i + 2 < args.size()) {
      i += 3;
    } else if (IsCommand(args[i], "setname") && i + 1 < args.size()) {
      client->name = args[i + 1];
      i += 2;
    } else {
      return AppendError(*reply, "ERR Syntax error in HELLO option '" + Escape(args[i], 64) + "'");
    }
  }
  AppendArrayHeader(*reply, 14);
  AppendBulk(*reply, "server");
  AppendBulk(*reply, "redis");
  AppendBulk(*reply, "version");
  AppendBulk(*reply, kRedisVersion);
  AppendBulk(*reply, "proto");
  AppendInteger(*reply, 2);
  AppendBulk(*reply, "id");
  AppendInteger(*reply, client->id);
  AppendBulk(*reply, "mode");
  AppendBulk(*reply, "standalone");
  AppendBulk(*reply, "role");
  AppendBulk(*reply, "master");
  AppendBulk(*reply, "modules");
  AppendArrayHeader(*reply, 0);
}

void Client(Args args, ClientInfo* client, std::string* reply) {
  if (args.size() == 3 && IsCommand(args[1], "setname")) {
    client->name = args[2].substr(0, 256);
    return Ok(reply);
  }
  if (args.size() == 4 && IsCommand(args[1], "setinfo")) return Ok(reply);
  if (args.size() == 2 && IsCommand(args[1], "getname")) {
    return client->name.empty() ? AppendNullBulk(*reply) : AppendBulk(*reply, client->name);
  }
  if (args.size() == 2 && IsCommand(args[1], "id")) return AppendInteger(*reply, client->id);
  Unknown(args, reply);
}

// COMMAND, COMMAND DOCS: an empty list, which clients take for "no hints". COMMAND COUNT: how many we have.
void Command(Args args, std::string* reply) {
  if (args.size() == 1 || IsCommand(args[1], "docs") || IsCommand(args[1], "info") || IsCommand(args[1], "list"))
    return AppendArrayHeader(*reply, 0);
  if (args.size() == 2 && IsCommand(args[1], "count")) return AppendInteger(*reply, 0);
  Unknown(args, reply);
}

// redis-benchmark asks for these two; everything else is not there, as CONFIG GET says it: an empty list.
void Config(Args args, std::string* reply) {
  if (args.size() < 3 || !IsCommand(args[1], "get")) return Unknown(args, reply);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kSettings{
      {{"save", ""}, {"appendonly", "no"}}};
  std::string found;
  size_t count = 0;
  for (const auto& [name, value] : kSettings) {
    if (std::none_of(args.begin() + 2, args.end(),
                     [&, setting = name](std::string_view arg) { return IsCommand(arg, setting); }))
      continue;
    AppendBulk(found, name);
    AppendBulk(found, value);
    count += 2;
  }
  AppendArrayHeader(*reply, count);
  *reply += found;
}

void Info(const ServerInfo& server, std::string* reply) {
  std::string text;
  text += "# Server\r\nredis_version:" + std::string(kRedisVersion) +
          "\r\nredis_mode:standalone\r\nuptime_in_seconds:" + std::to_string(server.uptime_s) + "\r\n";
  text += "\r\n# Clients\r\nconnected_clients:" + std::to_string(server.clients) + "\r\n";
  text += "\r\n# Persistence\r\nloading:0\r\n";
  text += "\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
  text += "\r\n# Cluster\r\ncluster_enabled:0\r\n";
  text += "\r\n# Sprockets\r\nsprockets_version:" SPROCKETS_VERSION "\r\n" + server.sprockets_section;
  AppendBulk(*reply, text);
}

}  // namespace

bool IsCommand(std::string_view word, std::string_view lower_name) {
  return word.size() == lower_name.size() &&
         std::equal(word.begin(), word.end(), lower_name.begin(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
}

LocalOutcome AnswerLocally(Args args, ClientInfo* client, const ServerInfo& server, std::string* reply) {
  const auto is = [&](std::string_view name) { return IsCommand(args[0], name); };
  if (is("ping")) {
    if (args.size() > 2) {
      WrongArity("ping", reply);
    } else if (args.size() == 2) {
      AppendBulk(*reply, args[1]);
    } else {
      AppendSimple(*reply, "PONG");
    }
  } else if (is("echo")) {
    args.size() == 2 ? AppendBulk(*reply, args[1]) : WrongArity("echo", reply);
  } else if (is("quit")) {
    Ok(reply);
    return LocalOutcome::kAnswerAndClose;
  } else if (is("reset")) {
    client->name.clear();
    client->in_refused_transaction = false;
    AppendSimple(*reply, "RESET");
  } else if (is("multi")) {
    client->in_refused_transaction = true;
    Unknown(args, reply);
  } else if (is("exec") && client->in_refused_transaction) {
    client->in_refused_transaction = false;
    AppendError(*reply, "EXECABORT Transaction discarded because of previous errors.");
  } else if (is("discard") && client->in_refused_transaction) {
    client->in_refused_transaction = false;
    Ok(reply);
  } else if (is("hello")) {
    Hello(args, client, reply);
  } else if (is("auth")) {
    args.size() == 2 || args.size() == 3 ? Ok(reply)
                                         : WrongArity("auth", reply);  // the socket's mode is the access control
  } else if (is("select")) {
    if (args.size() != 2) {
      WrongArity("select", reply);
    } else if (args[1] == "0") {
      Ok(reply);
    } else {
      AppendError(*reply, "ERR DB index is out of range: the sidecar's --redis URL chooses the database");
    }
  } else if (is("client") && args.size() > 1) {
    Client(args, client, reply);
  } else if (is("command")) {
    Command(args, reply);
  } else if (is("config")) {
    Config(args, reply);
  } else if (is("info")) {
    Info(server, reply);
  } else if (is("sprockets") && args.size() == 2 && IsCommand(args[1], "status")) {
    return LocalOutcome::kAdminStatus;
  } else if (is("sprockets") && args.size() == 2 && IsCommand(args[1], "seal")) {
    return LocalOutcome::kAdminSeal;
  } else {
    Unknown(args, reply);
  }
  return LocalOutcome::kAnswered;
}

}  // namespace sprockets
