// Private servers and spill files for tests.
#include "tests/replayer/fixture.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "replayer/command.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"

namespace sprockets::testing {
namespace {

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

void Must(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.error().message);
}

std::vector<std::string_view> Views(const Strings& strings) {
  return {strings.begin(), strings.end()};
}

/// Tickets are never used twice, over all files of a folder.
int64_t NextTicket() {
  static int64_t ticket = 0;
  return ++ticket;
}

}  // namespace

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sprockets-test-XXXXXX").native();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

PrivateRedis::PrivateRedis(Strings options) : options_(std::move(options)) {
  Start();
}

PrivateRedis::~PrivateRedis() {
  Kill9();
}

void PrivateRedis::Start() {
  Strings arguments{"redis-server",
                    "--port",
                    "0",
                    "--unixsocket",
                    socket_path().native(),
                    "--dir",
                    folder_.path().native(),
                    "--appendonly",
                    "yes",
                    "--appendfsync",
                    "always",
                    "--save",
                    "",
                    "--logfile",
                    (folder_.path() / "log").native()};
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    execvp("redis-server", argv.data());
    _exit(127);
  }
  RedisUrl url;
  url.socket_path = socket_path().native();
  for (int i = 0; i < 500; ++i) {
    auto client = RedisClient::Connect(url, 1000);
    if (client.ok()) {
      auto pong = client.value().Call({"PING"});
      if (pong.ok() && TextOf(*pong.value()).find("LOADING") == std::string_view::npos) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("redis-server does not start");
}

void PrivateRedis::Kill9() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void PrivateRedis::Signal(int number) const {
  kill(pid_, number);
}

RedisClient::Reply PrivateRedis::Call(const Strings& command) const {
  RedisUrl url;
  url.socket_path = socket_path().native();
  RedisClient client = Must(RedisClient::Connect(url, 30'000));
  std::string bytes = "*" + std::to_string(command.size()) + "\r\n";
  for (const std::string& word : command) bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  client.Queue(bytes);
  return Must(client.Receive());
}

std::string PrivateRedis::Text(const Strings& command) const {
  const RedisClient::Reply reply = Call(command);
  return reply->type == REDIS_REPLY_INTEGER ? std::to_string(reply->integer) : std::string(TextOf(*reply));
}

std::string PrivateRedis::RunId() const {
  const std::string info = Text({"INFO", "server"});
  return info.substr(info.find("run_id:") + 7, 40);
}

StreamId PrivateRedis::LastId(const std::string& stream) const {
  const RedisClient::Reply reply = Call({"XREVRANGE", stream, "+", "-", "COUNT", "1"});
  if (reply->elements == 0) return {};
  return ParseStreamId(TextOf(*reply->element[0]->element[0])).value();
}

TestEvent Event(const std::string& stream, const std::string& event_id, const std::string& value) {
  return {stream, {"kind", "push", "event_id", event_id, "value", value}, {}, std::nullopt};
}

TestEvent InDoubt(TestEvent event, StreamId anchor, std::optional<ConnectionId> connection) {
  event.doubt = Doubt{anchor, std::move(connection)};
  return event;
}

int64_t WriteSpillFile(const SpillFolder& folder, const std::vector<TestEvent>& events, const FileOptions& options) {
  SpillWriter::Options writer_options;
  writer_options.number = Must(folder.NextNumber());
  writer_options.producer = "producer";
  writer_options.event_id_field = "event_id";
  writer_options.begun_ms = WallClockMs();
  writer_options.connections_lost = options.connections_lost;
  auto writer = Must(folder.CreateActive(writer_options));
  Must(writer->Begin());
  Must(writer->AddConnections(options.connections));
  for (const TestEvent& event : events) {
    EventView view;
    view.stream = event.stream;
    view.options = Views(event.options);
    view.fields = Views(event.fields);
    for (size_t i = 0; i + 1 < view.fields.size() && !view.has_event_id(); i += 2) {
      if (view.fields[i] == "event_id") view.event_id_at = i + 1;
    }
    if (event.doubt && event.doubt->connection) Must(writer->AddConnections(std::span(&*event.doubt->connection, 1)));
    Must(writer->Append(NextTicket(), WallClockMs(), view, event.doubt, options.tail));
  }
  Must(writer->Commit());
  if (options.suspect) {
    writer->Abandon();
    Must(folder.MarkSuspect(writer_options.number));
  } else {
    Must(writer->Seal(folder));
  }
  return writer_options.number;
}

std::vector<Strings> Entries(const PrivateRedis& redis, const std::string& stream) {
  const RedisClient::Reply reply = redis.Call({"XRANGE", stream, "-", "+"});
  std::vector<Strings> entries;
  for (size_t i = 0; i < reply->elements; ++i) {
    const redisReply& pairs = *reply->element[i]->element[1];
    Strings& entry = entries.emplace_back();
    for (size_t k = 0; k < pairs.elements; ++k) entry.emplace_back(TextOf(*pairs.element[k]));
  }
  return entries;
}

Strings EventIds(const PrivateRedis& redis, const std::string& stream) {
  Strings ids;
  for (const Strings& entry : Entries(redis, stream)) {
    for (size_t i = 0; i + 1 < entry.size(); i += 2) {
      if (entry[i] == "event_id") ids.push_back(entry[i + 1]);
    }
  }
  return ids;
}

Run RunReplayer(const Strings& arguments) {
  std::vector<const char*> argv{"sprockets-replayer"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out;
  std::ostringstream err;
  ClearStopRequest();
  Run run;
  run.exit_code = static_cast<int>(RunProgram(static_cast<int>(argv.size()), argv.data(), out, err));
  run.out = out.str();
  run.err = err.str();
  run.json = nlohmann::json::parse(run.out, nullptr, false);
  return run;
}

Stage::Stage(Strings redis_options)
    : redis(std::move(redis_options)), folder(Must(DiskFolder::Open(temp.path() / "spill"))) {}

Run Stage::Command(const std::string& command, const Strings& more) const {
  Strings arguments{command, "--spill-dir", folder.path().native()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunReplayer(arguments);
}

Run Stage::Drain(const Strings& more) const {
  Strings arguments{"--redis", redis.Url(), "--json", "--progress", "none", "--fence-wait", "100ms"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Command("drain", arguments);
}

std::vector<SpillFileInfo> Stage::Files() const {
  return Must(folder.List());
}

std::map<std::string, std::string> Stage::Snapshot() const {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    files[entry.path().native()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return files;
}

}  // namespace sprockets::testing
