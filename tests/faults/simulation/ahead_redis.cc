#include "tests/faults/simulation/ahead_redis.h"

#include <algorithm>

#include "shared/ahead/greeting.h"
#include "shared/base/result.h"
#include "shared/redis/resp.h"

namespace sprockets::sim {

namespace {

std::string BulkReply(std::string_view text) {
  std::string out;
  AppendBulk(out, text);
  return out;
}

std::string ErrorText(std::string_view text) {
  std::string out;
  AppendError(out, text);
  return out;
}

void AppendChange(std::string& out, const StreamChange& entry) {
  AppendArrayHeader(out, 2);
  AppendBulk(out, ToString(entry.id));
  AppendArrayHeader(out, entry.fields.size());
  for (const std::string& field : entry.fields) AppendBulk(out, field);
}

std::vector<std::string_view> WordsIn(const std::string& command) {
  std::vector<std::string_view> words;
  SPROCKETS_ASSERT(ParseWholeCommand(command, &words));
  return words;
}

}  // namespace

AheadRedis::View AheadRedis::Look(size_t server, const std::string& stream) const {
  View view;
  for (const StreamChange& change : servers[server].changes) {
    if (change.stream != stream) continue;
    switch (change.kind) {
      case StreamChange::Kind::kAdd:
        view.top = change.id;
        ++view.added;
        view.entries.push_back(&change);
        if (change.most > 0 && view.entries.size() > change.most) view.entries.erase(view.entries.begin());
        break;
      case StreamChange::Kind::kTrim:
        while (view.entries.size() > change.most) view.entries.erase(view.entries.begin());
        break;
      case StreamChange::Kind::kDelete:
        std::erase_if(view.entries, [&](const StreamChange* entry) { return entry->id == change.id; });
        view.max_deleted = std::max(view.max_deleted, change.id);
        break;
    }
  }
  return view;
}

int64_t AheadRedis::Connect() {
  connections[next_connection_] = {.server = active, .process = servers[active].process};
  return next_connection_++;
}

void AheadRedis::DropConnections(size_t server) {
  std::erase_if(connections, [&](const auto& each) { return each.second.server == server; });
}

void AheadRedis::Apply(int64_t id) {
  Connection& connection = connections.at(id);
  const std::string command = std::move(connection.sent.front());
  connection.sent.pop_front();
  std::string reply = Answer(connection, WordsIn(command), command);
  if (connection.open) {
    connection.replies.push_back(std::move(reply));
  } else if (connection.sent.empty()) {
    connections.erase(id);
  }
}

std::string AheadRedis::Answer(Connection& connection, const std::vector<std::string_view>& args,
                               const std::string& command) {
  Server& server = servers[connection.server];
  const std::string_view name = args[0];
  if (name == "MULTI") {
    connection.in_transaction = true;
    connection.aborted = false;
    connection.queued.clear();
    return "+OK\r\n";
  }
  if (name == "EXEC") return Exec(connection);
  const bool writes = name == "XADD" || name == "SET";
  std::string refusal = writes ? server.refusal : std::string();
  if (writes && !server.is_master) refusal = "READONLY You can't write against a read only replica.";
  if (!refusal.empty()) {
    connection.aborted = true;
    return ErrorText(refusal);
  }
  if (connection.in_transaction) {
    connection.queued.push_back(command);
    return "+QUEUED\r\n";
  }
  if (name == "WATCH") {
    connection.watched = server.dataset;
    return "+OK\r\n";
  }
  return Execute(server, args);
}

std::string AheadRedis::Exec(Connection& connection) {
  const bool watched = connection.watched == 0 || connection.watched == servers[connection.server].dataset;
  connection.in_transaction = false;
  connection.watched = 0;
  if (connection.aborted) return ErrorText("EXECABORT Transaction discarded because of previous errors.");
  if (!watched) return "*-1\r\n";
  std::string out;
  AppendArrayHeader(out, connection.queued.size());
  for (const std::string& queued : connection.queued) out += Execute(servers[connection.server], WordsIn(queued));
  connection.queued.clear();
  return out;
}

std::string AheadRedis::Execute(Server& server, const std::vector<std::string_view>& args) {
  const std::string_view name = args[0];
  if (name == "SET" || name == "CLIENT") return "+OK\r\n";
  if (name == "INFO") {
    const std::string process = std::to_string(&server - servers.data()) + "." + std::to_string(server.process);
    return BulkReply("run_id:" + process + "\r\nrole:" + (server.is_master ? "master" : "slave") +
                     "\r\nmaster_replid:" + std::to_string(server.replication) +
                     "\r\nloading:0\r\ncluster_enabled:0\r\n");
  }
  const size_t index = static_cast<size_t>(&server - servers.data());
  const std::string stream(args[name == "XINFO" ? 2 : 1]);
  const View view = Look(index, stream);
  if (name == "XINFO") {
    if (view.added == 0) return ErrorText("ERR no such key");
    std::string out;
    AppendArrayHeader(out, 10);
    AppendBulk(out, "length");
    AppendInteger(out, static_cast<int64_t>(view.entries.size()));
    AppendBulk(out, "last-generated-id");
    AppendBulk(out, ToString(view.top));
    AppendBulk(out, "max-deleted-entry-id");
    AppendBulk(out, ToString(view.max_deleted));
    AppendBulk(out, "entries-added");
    AppendInteger(out, static_cast<int64_t>(view.added));
    AppendBulk(out, "first-entry");
    if (view.entries.empty()) return out + "*-1\r\n";
    AppendChange(out, *view.entries.front());
    return out;
  }
  if (name == "XRANGE") {
    const StreamId id = *ParseStreamId(args[2]);
    std::string out;
    const auto found = std::find_if(view.entries.begin(), view.entries.end(),
                                    [&](const StreamChange* entry) { return entry->id == id; });
    AppendArrayHeader(out, found == view.entries.end() ? 0 : 1);
    if (found != view.entries.end()) AppendChange(out, **found);
    return out;
  }
  SPROCKETS_ASSERT(name == "XADD");
  StreamChange added{.stream = stream, .id = {}, .event = {}, .fields = {}};
  size_t word = 2;
  if (args[word] == "MAXLEN") {
    added.most = std::stoul(std::string(args[word + 1]));
    word += 2;
  }
  added.id = *ParseStreamId(args[word]);
  added.fields.assign(args.begin() + static_cast<std::ptrdiff_t>(word) + 1, args.end());
  added.event = added.fields.back();
  if (added.id <= view.top)
    return ErrorText("ERR The ID specified in XADD is equal or smaller than the target stream top item");
  server.changes.push_back(added);
  return BulkReply(ToString(added.id));
}

void AheadRedis::AddForeign(const std::string& stream, StreamId id) {
  servers[active].changes.push_back({.stream = stream, .id = id, .event = {}, .fields = {"their", "entry"}});
}

void AheadRedis::CrashAndLose(size_t changes_lost) {
  Server& server = servers[active];
  server.changes.resize(server.changes.size() - std::min(changes_lost, server.changes.size()));
  server.up = false;
  server.hung = false;
  server.refusal.clear();
  server.process = ++processes_;
  server.replication = ++replications_;
  server.dataset = ++datasets_;
  DropConnections(active);
}

// Connections stay, those to the old master, and those that wait at the new one from an earlier time.
void AheadRedis::FailOver(size_t lag) {
  Server& old = servers[active];
  active = (active + 1) % servers.size();
  Server& promoted = servers[active];
  promoted.changes.assign(old.changes.begin(),
                          old.changes.end() - static_cast<std::ptrdiff_t>(std::min(lag, old.changes.size())));
  promoted.dataset = ++datasets_;
  promoted.replication = ++replications_;
  promoted.is_master = true;
  old.is_master = false;
}

}  // namespace sprockets::sim
