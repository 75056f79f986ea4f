#include "sidecar/door/local_commands.h"

#include <algorithm>
#include <array>

#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

// What clients take us for: some decide by it which commands to send.
constexpr std::string_view kRedisVersion = "7.0.0";

constexpr size_t kMaxNameBytes = 256;

using Args = std::span<const std::string_view>;
using Transaction = ClientInfo::Transaction;

void EndTransaction(ClientInfo* client) {
  client->transaction = Transaction::kNone;
  client->watches = client->watch_lost = false;
}

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
  AppendError(*reply, text + "(the Sprockets sidecar takes XADD only: --relay off)");
}

// As Redis says it: clients try subcommands that not every server has.
void UnknownSubcommand(Args args, std::string* reply) {
  AppendError(*reply, "ERR unknown subcommand '" + Escape(args[1], 64) + "'. Try " + Escape(args[0], 64) + " HELP.");
}

// HELLO [2|3 [AUTH user password] [SETNAME name]]
void Hello(Args args, ClientInfo* client, std::string* reply) {
  int protocol = client->protocol;
  if (args.size() > 1) {
    const Result<int64_t> version = ParseInteger(args[1], 0, 1'000);
    if (!version.ok()) return AppendError(*reply, "ERR Protocol version is not an integer or out of range");
    if (version.value() != 2 && version.value() != 3)
      return AppendError(*reply, "NOPROTO unsupported protocol version");
    protocol = static_cast<int>(version.value());
  }
  std::string name = client->name;
  for (size_t i = 2; i < args.size();) {
    if (IsCommand(args[i], "auth") && i + 2 < args.size()) {
      i += 3;
    } else if (IsCommand(args[i], "setname") && i + 1 < args.size()) {
      name = args[i + 1].substr(0, kMaxNameBytes);
      i += 2;
    } else {
      return AppendError(*reply, "ERR Syntax error in HELLO option '" + Escape(args[i], 64) + "'");
    }
  }
  client->name = std::move(name);
  client->protocol = protocol;
  AppendMapHeader(*reply, 7, protocol);
  AppendBulk(*reply, "server");
  AppendBulk(*reply, "redis");
  AppendBulk(*reply, "version");
  AppendBulk(*reply, kRedisVersion);
  AppendBulk(*reply, "proto");
  AppendInteger(*reply, protocol);
  AppendBulk(*reply, "id");
  AppendInteger(*reply, client->id);
  AppendBulk(*reply, "mode");
  AppendBulk(*reply, "standalone");
  AppendBulk(*reply, "role");
  AppendBulk(*reply, "master");
  AppendBulk(*reply, "modules");
  AppendArrayHeader(*reply, 0);
}

std::string DescriptionOf(const ClientInfo& client) {
  return "id=" + std::to_string(client.id) + " addr= laddr= fd=-1 name=" + client.name +
         " age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 cmd=client|info user=default redir=-1 resp=" +
         std::to_string(client.protocol) + " lib-name= lib-ver=\n";
}

bool IsOnOrOff(std::string_view word) {
  return IsCommand(word, "on") || IsCommand(word, "off");
}

void Client(Args args, ClientInfo* client, std::string* reply) {
  const auto is = [&](std::string_view name, size_t words) { return args.size() == words && IsCommand(args[1], name); };
  if (is("setname", 3)) {
    // As Redis has it: a name stands in lists, between blanks.
    const bool fits = std::all_of(args[2].begin(), args[2].end(), [](char c) { return c >= '!' && c <= '~'; });
    if (!fits) return AppendError(*reply, "ERR Client names cannot contain spaces, newlines or special characters.");
    client->name = args[2].substr(0, kMaxNameBytes);
    return Ok(reply);
  }
  if (is("setinfo", 4)) return Ok(reply);
  if (is("getname", 2))
    return client->name.empty() ? AppendNull(*reply, client->protocol) : AppendBulk(*reply, client->name);
  if (is("id", 2)) return AppendInteger(*reply, client->id);
  if (is("info", 2) || (args.size() >= 2 && IsCommand(args[1], "list")))
    return AppendText(*reply, DescriptionOf(*client), client->protocol);
  if ((is("no-evict", 3) || is("no-touch", 3)) && IsOnOrOff(args[2])) return Ok(reply);
  UnknownSubcommand(args, reply);
}

// COMMAND, COMMAND DOCS: an empty list, which clients take for "no hints". COMMAND COUNT: how many we have.
void Command(Args args, int protocol, std::string* reply) {
  if (args.size() > 1 && IsCommand(args[1], "docs")) return AppendMapHeader(*reply, 0, protocol);
  if (args.size() == 1 || IsCommand(args[1], "info") || IsCommand(args[1], "list")) return AppendArrayHeader(*reply, 0);
  if (args.size() == 2 && IsCommand(args[1], "count")) return AppendInteger(*reply, 0);
  UnknownSubcommand(args, reply);
}

// redis-benchmark asks for these two; everything else is not there, as CONFIG GET says it: an empty list.
void Config(Args args, int protocol, std::string* reply) {
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
    ++count;
  }
  AppendMapHeader(*reply, count, protocol);
  *reply += found;
}

void Info(const ServerInfo& server, int protocol, std::string* reply) {
  std::string text;
  text += "# Server\r\nredis_version:" + std::string(kRedisVersion) +
          "\r\nredis_mode:standalone\r\nuptime_in_seconds:" + std::to_string(server.uptime_s) + "\r\n";
  text += "\r\n# Clients\r\nconnected_clients:" + std::to_string(server.clients) + "\r\n";
  text += "\r\n# Persistence\r\nloading:0\r\n";
  text += "\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
  text += "\r\n# Cluster\r\ncluster_enabled:0\r\n";
  AppendText(*reply, text + SprocketsInfo(server), protocol);
}

// A master without replicas.
void Role(std::string* reply) {
  AppendArrayHeader(*reply, 3);
  AppendBulk(*reply, "master");
  AppendInteger(*reply, 0);
  AppendArrayHeader(*reply, 0);
}

}  // namespace

std::string SprocketsInfo(const ServerInfo& server) {
  return "\r\n# Sprockets\r\nsprockets_version:" SPROCKETS_VERSION "\r\n" + server.sprockets_section;
}

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
    ClientInfo fresh;
    fresh.id = client->id;
    *client = std::move(fresh);
    AppendSimple(*reply, "RESET");
  } else if (is("multi")) {
    client->transaction = Transaction::kRefused;
    Unknown(args, reply);
  } else if (is("exec") && client->transaction == Transaction::kRefused) {
    EndTransaction(client);
    AppendError(*reply, "EXECABORT Transaction discarded because of previous errors.");
  } else if (is("discard") && client->transaction == Transaction::kRefused) {
    EndTransaction(client);
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
    Command(args, client->protocol, reply);
  } else if (is("config")) {
    Config(args, client->protocol, reply);
  } else if (is("info")) {
    Info(server, client->protocol, reply);
  } else if (is("cluster") || is("readonly") || is("readwrite")) {
    AppendError(*reply, "ERR This instance has cluster support disabled");
  } else if (is("role")) {
    Role(reply);
  } else if (is("sprockets")) {
    return LocalOutcome::kAdmin;
  } else {
    Unknown(args, reply);
  }
  return LocalOutcome::kAnswered;
}

}  // namespace sprockets
