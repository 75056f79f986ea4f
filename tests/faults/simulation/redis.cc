// The simulated Redis.
#include <algorithm>

#include "shared/redis/event.h"
#include "shared/redis/resp.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

namespace {

std::string Bulk(std::string_view text) {
  std::string out;
  AppendBulk(out, text);
  return out;
}

std::string ErrorReply(std::string_view text) {
  std::string out;
  AppendError(out, text);
  return out;
}

std::string IntegerReply(int64_t value) {
  std::string out;
  AppendInteger(out, value);
  return out;
}

std::string KeyOf(std::string key, const std::vector<std::string>& fields) {
  for (const std::string& field : fields) key += "|" + field;
  return key;
}

void AppendEntry(std::string& out, const Entry& entry) {
  AppendArrayHeader(out, 2);
  AppendBulk(out, ToString(entry.id));
  AppendArrayHeader(out, entry.fields.size());
  for (const std::string& field : entry.fields) AppendBulk(out, field);
}

// "(5-0", "5-0", "-" or "+", as the least (or greatest) id that is inside.
StreamId Bound(std::string_view text, bool is_start) {
  if (text == "-") return kStreamBegin;
  if (text == "+") return {~0ull, ~0ull};
  const bool exclusive = text.starts_with('(');
  StreamId id = *ParseStreamId(exclusive ? text.substr(1) : text);
  if (!exclusive) return id;
  if (is_start) return *Next(id);
  if (id.seq > 0) return {id.ms, id.seq - 1};
  return {id.ms - 1, ~0ull};
}

}  // namespace

int64_t Redis::Accept() {
  peers[next_client_id_] = {};
  return next_client_id_++;
}

void Redis::Restart() {
  run_id_ = "life" + std::to_string(++lives_);
  next_client_id_ = 1;  // as a real one: a stale id hits a stranger
  peers.clear();
}

void Redis::Crash() {
  for (auto& [id, peer] : peers) {
    // Applied, written to the append-only file, and killed before the answer left.
    const size_t more = peer.sent.empty() || stopped ? 0 : (*random_)() % (peer.sent.size() + 1);
    for (size_t i = 0; i < more; ++i) ApplyOne(id);
  }
  Restart();
}

void Redis::CrashAndForget() {
  Crash();
  for (auto& [name, stream] : streams) {
    size_t fewer = (*random_)() % (stream.entries.size() + 1);
    for (; fewer > 0; --fewer) {
      const std::string key = KeyOf(name, stream.entries.back().fields);
      --applied[key];
      forgotten.insert(key);
      stream.entries.pop_back();
      --stream.added;
    }
    stream.last_id = stream.entries.empty() ? kStreamBegin : stream.entries.back().id;
  }
  clock_behind_ms_ = static_cast<int64_t>((*random_)() % 3000);
  TheWorld().Trace("redis forgets");
}

void Redis::ApplyOne(int64_t id) {
  Peer& peer = peers.at(id);
  const std::string command = std::move(peer.sent.front());
  peer.sent.pop_front();
  std::vector<std::string_view> args;
  SPROCKETS_ASSERT(ParseWholeCommand(command, &args));
  std::string reply = Apply(id, args);
  const auto still_there = peers.find(id);
  if (still_there != peers.end()) still_there->second.replies.push_back(std::move(reply));
}

std::string Redis::Apply(int64_t id, const std::vector<std::string_view>& args) {
  if (args[0] == "XADD") return Xadd(args);
  if (args[0] == "XRANGE") return Range(args, false);
  if (args[0] == "XREVRANGE") return Range(args, true);
  if (args[0] == "XINFO") return Xinfo(std::string(args[2]));
  if (args[0] == "INFO")
    return Bulk("# Server\r\nrun_id:" + run_id_ + "\r\nrole:master\r\nloading:0\r\ncluster_enabled:0\r\n");
  if (args[0] == "PING") return refusal.empty() ? "+PONG\r\n" : ErrorReply(refusal);
  if (args[0] == "CLIENT" && args[1] == "SETNAME") return "+OK\r\n";
  if (args[0] == "CLIENT" && args[1] == "ID") return IntegerReply(id);
  if (args[0] == "CLIENT" && args[1] == "KILL") {
    const int64_t victim = std::stoll(std::string(args[3]));
    SPROCKETS_ASSERT(victim != id);  // a fence over itself would kill nothing and prove nothing
    return IntegerReply(Kill(victim) ? 1 : 0);
  }
  return ErrorReply("ERR unknown command");
}

std::string Redis::Xadd(const std::vector<std::string_view>& args) {
  EventView event;
  SPROCKETS_ASSERT(ParseXadd(args, "event_id", &event).ok());
  const bool is_strange = refusal.starts_with("ERR");
  if (!refusal.empty() && !(is_strange && TheWorld().Chance(500))) return ErrorReply(refusal);
  if (event.stream == bad_stream)
    return ErrorReply("WRONGTYPE Operation against a key holding the wrong kind of value");
  const std::string stream_name(event.stream);
  Stream& stream = streams[stream_name];
  const uint64_t ms = static_cast<uint64_t>(now_ms - clock_behind_ms_);
  const StreamId id = stream.last_id.ms < ms ? StreamId{ms, 0} : StreamId{stream.last_id.ms, stream.last_id.seq + 1};
  stream.last_id = id;
  ++stream.added;
  stream.entries.push_back({id, {event.fields.begin(), event.fields.end()}});
  const std::string key = KeyOf(stream_name, stream.entries.back().fields);
  ++applied[key];
  TheWorld().Trace("redis adds " + key + " as " + ToString(id));
  if (is_strange) return ErrorReply(refusal);
  return Bulk(ToString(id));
}

std::string Redis::Range(const std::vector<std::string_view>& args, bool reverse) const {
  const auto found = streams.find(std::string(args[1]));
  const StreamId low = Bound(args[reverse ? 3 : 2], true);
  const StreamId high = Bound(args[reverse ? 2 : 3], false);
  const size_t count = std::stoul(std::string(args[5]));
  std::vector<const Entry*> inside;
  if (found != streams.end()) {
    for (const Entry& entry : found->second.entries) {
      if (entry.id >= low && entry.id <= high) inside.push_back(&entry);
    }
  }
  if (reverse) std::reverse(inside.begin(), inside.end());
  if (inside.size() > count) inside.resize(count);
  std::string out;
  AppendArrayHeader(out, inside.size());
  for (const Entry* entry : inside) AppendEntry(out, *entry);
  return out;
}

std::string Redis::Xinfo(const std::string& name) const {
  const auto found = streams.find(name);
  if (found == streams.end()) return ErrorReply("ERR no such key");
  const Stream& stream = found->second;
  std::string out;
  AppendArrayHeader(out, 10);
  AppendBulk(out, "length");
  AppendInteger(out, static_cast<int64_t>(stream.entries.size()));
  AppendBulk(out, "last-generated-id");
  AppendBulk(out, ToString(stream.last_id));
  AppendBulk(out, "max-deleted-entry-id");
  AppendBulk(out, ToString(stream.max_deleted));
  AppendBulk(out, "entries-added");
  AppendInteger(out, static_cast<int64_t>(stream.added));
  AppendBulk(out, "first-entry");
  if (stream.entries.empty()) {
    AppendNull(out, 2);
  } else {
    AppendEntry(out, stream.entries.front());
  }
  return out;
}

void Redis::Trim(const std::string& name, size_t keep) {
  Stream& stream = streams[name];
  if (stream.entries.size() > keep)
    stream.entries.erase(stream.entries.begin(), stream.entries.end() - static_cast<std::ptrdiff_t>(keep));
}

void Redis::Delete(const std::string& name, size_t index) {
  Stream& stream = streams[name];
  if (index >= stream.entries.size()) return;
  stream.max_deleted = std::max(stream.max_deleted, stream.entries[index].id);
  stream.entries.erase(stream.entries.begin() + static_cast<std::ptrdiff_t>(index));
}

}  // namespace sprockets::sim
