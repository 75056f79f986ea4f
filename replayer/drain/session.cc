// Connecting, reconnecting, fencing.
#include "replayer/drain/session.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "replayer/drain/search.h"
#include "replayer/terminal/stop.h"
#include "shared/base/backoff.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr int64_t kPatienceMs = 30'000;  // without a connection
constexpr int64_t kKeepAliveMs = 200;
constexpr int kProbeRounds = 4;  // together longer on the way than the event that is weighed against them
constexpr size_t kProbePieceBytes = 16 * 1024;  // no limit of Redis can be set below it

bool IsListable(const SpillFileInfo& file) {
  // The active file is the sidecar's; its connections are fenced when it has been sealed.
  return !file.quarantined && (file.state != SpillFileInfo::State::kActive || file.suspect);
}

}  // namespace

Session::Session(const DrainOptions& options, const SpillFolder& folder, DrainReport& report, Dial dial)
    : options_(options), folder_(folder), report_(report), dial_(std::move(dial)) {}

void Session::Know(const std::vector<ConnectionId>& connections) {
  known_.insert(connections.begin(), connections.end());
}

Status Session::Connect() {
  const int64_t until = SteadyClockMs() + kPatienceMs;
  std::minstd_rand random(std::random_device{}());
  Backoff backoff = RetryBackoff();
  while (true) {
    Result<Server> server = Server::Connect(options_.redis.url, options_.redis.deadline_ms, dial_);
    if (server.ok()) {
      server_.emplace(std::move(server).value());
      waited_out_.clear();
      waited_for_lost_ = false;
      known_.insert(server_->self());
      return {};
    }
    const ErrorCode code = server.error().code;
    const bool may_pass = code == ErrorCode::kBusy || (code == ErrorCode::kUnreachable && server_);
    if (!may_pass) return std::move(server).error();
    if (SteadyClockMs() > until || !SleepUnlessStopped(backoff.NextMs(random()))) {
      return Error{ErrorCode::kUnreachable, server.error().message};
    }
  }
}

Status Session::Recover() {
  const int64_t until = SteadyClockMs() + kPatienceMs;
  report_.Warn("connection-lost", {{"redis", options_.redis.url.ForLogs()}});
  while (true) {
    RETURN_IF_ERROR(Connect());
    Status fenced = FenceAll();
    if (fenced.ok() || fenced.error().code != ErrorCode::kUnreachable || SteadyClockMs() > until) return fenced;
  }
}

Result<StreamFacts> Session::Facts(const std::string& stream) {
  ASSIGN_OR_RETURN(const StreamFacts facts, ReadStreamFacts(client(), stream));
  if (!facts.complete && !std::exchange(said_incomplete_, true)) {
    report_.Warn("absence-not-provable",
                 {{"stream", Escape(stream)},
                  {"why",
                   "XINFO STREAM is not allowed, or the server is older than 7.0: what is in doubt and not found is "
                   "sent, and counted as unproven"}});
  }
  return facts;
}

Status Session::Probe(size_t bytes) {
  const std::string piece(std::min(bytes, kProbePieceBytes), 'x');
  std::string ping;
  const std::string_view words[] = {"PING", piece};
  AppendCommand(ping, words);
  const size_t pieces = bytes / kProbePieceBytes + 1;
  for (int round = 0; round < kProbeRounds; ++round) {
    for (size_t i = 0; i < pieces; ++i) client().Queue(ping);
    for (size_t i = 0; i < pieces; ++i) {
      const auto answer = client().Receive();
      if (!answer.ok()) return answer.error();
    }
  }
  return {};
}

Status Session::FenceFor(SpillFile& file) {
  ASSIGN_OR_RETURN(const std::vector<ConnectionId> own, file.Connections());
  Know(own);
  listed_files_.insert(file.info().number);
  connections_lost_ = file.connections_lost();
  Status fenced = FenceAll();
  if (!fenced.ok() && fenced.error().code == ErrorCode::kUnreachable) return Recover();
  return fenced;
}

/// Reads what files that were not there before say about connections and renamed streams. A file that cannot be read
/// now is asked again next time: the rows that need its connections are its own.
Status Session::ListFiles() {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> new_files,
                   folder_.List([this](int64_t number) { return !listed_files_.contains(number); }));
  for (const SpillFileInfo& info : new_files) {
    if (!IsListable(info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder_.OpenFile(info);
    if (!file.ok() && file.error().code == ErrorCode::kForeign) return std::move(file).error();
    if (!file.ok()) continue;
    const Result<std::vector<ConnectionId>> connections = file.value()->Connections();
    const auto renamed = file.value()->RenamedStreams();
    if (!connections.ok() || !renamed.ok()) continue;
    Know(connections.value());
    for (const auto& [stream, target] : renamed.value()) led_elsewhere_[stream].insert(target);
    listed_files_.insert(info.number);
  }
  return {};
}

Status Session::FenceAll() {
  RETURN_IF_ERROR(ListFiles());
  const std::vector<ConnectionId> listed(known_.begin(), known_.end());
  ASSIGN_OR_RETURN(const Fence fence, server_->Kill(listed));
  fence_.complete = fence.IsComplete(listed, connections_lost_);
  return WaitOut(fence.alive());
}

/// What cannot be killed is given time to arrive: once for each on each connection of ours.
Status Session::WaitOut(const std::vector<ConnectionId>& alive) {
  bool is_new = connections_lost_ && !waited_for_lost_;
  waited_for_lost_ |= connections_lost_;
  for (const ConnectionId& connection : alive) is_new |= waited_out_.insert(connection).second;
  if (!is_new) return {};
  report_.Warn("fence-incomplete",
               {{"connections", alive.size()},
                {"lost", connections_lost_},
                {"wait_ms", options_.fence_wait_ms},
                {"why", "INFO or CLIENT KILL is not allowed, or connections are not known: absence is no proof"}});
  // Redis must go on answering meanwhile: it closes what is idle for longer than its `timeout`, and as long as it hangs
  // it does not read what it was sent earlier either.
  const int64_t until_ms = SteadyClockMs() + options_.fence_wait_ms;
  for (int64_t now_ms = SteadyClockMs(); now_ms < until_ms; now_ms = SteadyClockMs()) {
    if (!SleepUnlessStopped(std::min(kKeepAliveMs, until_ms - now_ms))) return {};
    ASSIGN_OR_RETURN([[maybe_unused]] const RedisClient::Reply pong, server_->client().Call({"PING"}));
  }
  return {};
}

}  // namespace sprockets
