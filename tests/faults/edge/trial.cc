#include "tests/faults/edge/trial.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <signal.h>
#include <stdexcept>
#include <utility>

#include <catch2/catch.hpp>

#include "tests/harness/sample_events.h"

namespace sprockets::harness {
namespace {

constexpr uint64_t kSampleStreams = 7;

// Of the seven sample streams only two, so that a sweep is short.
uint64_t NextSample() {
  static uint64_t next = 0;
  const uint64_t n = next++;
  return n / kTrialStreams * kSampleStreams + n % kTrialStreams;
}

void RemoveId(Event& event) {
  const auto name = std::find(event.fields.begin(), event.fields.end(), "event_id");
  event.fields.erase(name, name + 2);
  event.event_id.clear();
}

// "UNKNOWN <event id> why": under this id it may be offered again.
void TakeId(Event& event, const Reply& unknown) {
  const size_t begin = unknown.text.find(' ') + 1;
  event.event_id = unknown.text.substr(begin, unknown.text.find(' ', begin) - begin);
  event.fields.insert(event.fields.end(), {"event_id", event.event_id});
}

std::vector<std::string> Arguments(const Trial::Options& options) {
  std::vector<std::string> arguments = options.sidecar_arguments;
  if (options.ahead) arguments.insert(arguments.end(), {"--ack", "disk"});
  return arguments;
}

// What the streams hold of these events, as they were offered: with their id, or without one.
std::set<std::vector<std::string>> StoredForms(RespClient& redis, const std::vector<Event>& events) {
  std::set<std::string> streams;
  for (const Event& event : events) streams.insert(event.stream);
  std::set<std::vector<std::string>> stored;
  for (const std::string& stream : streams) {
    for (std::vector<std::string>& fields : ReadStream(redis, stream)) {
      stored.insert(fields);
      fields.resize(fields.size() - 2);  // the sidecar's id comes last
      stored.insert(std::move(fields));
    }
  }
  return stored;
}

}  // namespace

Trial::Trial(RedisServer& the_redis, Options options)
    : redis(the_redis),
      sidecar({.folder = folder.path(),
               .redis_url = options.sidecar_redis_url.empty() ? redis.Url() : options.sidecar_redis_url,
               .spill_dir = options.spill_dir,
               .arguments = Arguments(options)}),
      books(std::move(options.books)),
      ahead_(options.ahead) {
  if (!options.spill_source.empty())
    std::filesystem::copy(options.spill_source, sidecar.spill_dir(), std::filesystem::copy_options::recursive);
  redis.Call({"FLUSHALL"});
}

void Trial::Intend(size_t events, Ids ids) {
  for (size_t i = 0; i < events; ++i) {
    Event event = SampleEvent(NextSample(), /*always_id=*/true);
    if (ids == Ids::kOfTheSidecar) RemoveId(event);
    books.waiting.push_back(std::move(event));
  }
}

Answers Trial::Offer() {
  Send();
  return Collect();
}

void Trial::Send() {
  client_.reset();
  try {
    client_ = sidecar.Connect();
    for (const Event& event : books.waiting) client_->Send(XaddOf(event));
  } catch (const ConnectionClosed&) {
    client_.reset();
  }
}

Answers Trial::Collect() {
  Answers answers;
  std::vector<Event> still_waiting;
  answers.complete = client_.has_value();
  for (Event& event : books.waiting) {
    std::optional<Reply> reply;
    try {
      if (answers.complete) reply = client_->Read();
    } catch (const ConnectionClosed&) {
      answers.complete = false;
    }
    if (reply && reply->Acknowledged()) {
      ++(reply->Landed() ? answers.landed : answers.spilled);
      books.told[Ledger::KeyOf(event.stream, event.fields)] = reply->text;
      books.acknowledged.push_back(std::move(event));
      continue;
    }
    const bool refused = reply && reply->IsError("RETRY");
    const bool unknown = reply && reply->IsError("UNKNOWN");
    if (reply && !refused && !unknown) throw std::runtime_error("XADD answered: " + reply->text);
    answers.retry += refused ? 1 : 0;
    answers.unknown += unknown ? 1 : 0;
    if (unknown && event.event_id.empty()) TakeId(event, *reply);
    std::vector<Event>& next = refused && give_up_refused                    ? books.refused
                               : !reply && client_ && event.event_id.empty() ? books.unclear
                                                                             : still_waiting;
    next.push_back(std::move(event));
  }
  books.waiting = std::move(still_waiting);
  return answers;
}

bool Trial::StartSidecar(std::vector<std::string> prefix) {
  sidecar.set_prefix(std::move(prefix));
  sidecar.StartWithoutWaiting();
  Await("the sidecar to answer or to end", [this] { return !sidecar.Running() || sidecar.Answers(); });
  return sidecar.Running();
}

void Trial::EndSidecar() {
  sidecar.process().Signal(SIGTERM);
  Await("the sidecar to end", [this] { return !sidecar.Running(); });
}

DrainResult Trial::Drain(std::vector<std::string> prefix, std::vector<std::string> more) {
  std::vector<std::string> command = std::move(prefix);
  const std::vector<std::string> drain = ReplayerCommand(
      {"drain", "--json", "--progress", "none", "--redis", redis.Url(), "--spill-dir", sidecar.spill_dir()});
  command.insert(command.end(), drain.begin(), drain.end());
  if (sidecar.Running()) command.insert(command.end(), {"--socket", sidecar.socket_path()});
  command.insert(command.end(), more.begin(), more.end());
  RunResult run = Run(std::move(command), folder.path());
  return {.exit_code = run.exit_code,
          .summary = nlohmann::json::parse(run.out, nullptr, /*allow_exceptions=*/false),
          .err = std::move(run.err)};
}

void Trial::Arm() const {
  std::ofstream(trigger()).put('\n');
}

void Trial::OfferUntilAcknowledged() {
  if (!sidecar.Running()) REQUIRE(StartSidecar());
  Await("every event to be acknowledged", [this] { return Offer().complete && books.waiting.empty(); });
}

void Trial::AwaitLanded() const {
  Await("the journals to land", [this] {
    const auto status = sidecar.Status();
    return status.at("redis").at("state") == "connected" && status.at("journal").at("behind").empty();
  });
}

void Trial::ConcludeAhead() {
  redis.Kill9();
  redis.Start();
  OfferUntilAcknowledged();
  AwaitLanded();
  EndSidecar();
  REQUIRE(sidecar.process().Wait() == 0);
  CompareBooks();
}

void Trial::Conclude() {
  if (ahead_) return ConcludeAhead();
  if (!books.waiting.empty()) OfferUntilAcknowledged();
  if (sidecar.Running()) {
    EndSidecar();
    INFO(sidecar.process().Stderr());
    REQUIRE(sidecar.process().Wait() == 0);
  }
  DrainResult drained = Drain();
  INFO(drained.err << drained.summary);
  REQUIRE(drained.exit_code == 0);
  Compare();
}

void Trial::Compare() {
  CompareFiles();
  CompareBooks();
}

void Trial::CompareFiles() const {
  for (const std::string& file : SpillFiles()) {
    // A drain that was killed between a file's last move and its last tidying left its marker; it goes with the file.
    INFO(file);
    CHECK(file.ends_with(".suspect"));
  }
}

void Trial::CompareBooks() {
  Ledger ledger;
  for (const Event& event : books.acknowledged) {
    ledger.Intend(event);
    ledger.Acknowledge(event, books.told.at(Ledger::KeyOf(event.stream, event.fields)), /*at_once=*/false);
  }
  for (const std::vector<Event>* maybe : {&books.waiting, &books.unclear}) {
    for (const Event& event : *maybe) ledger.Intend(event);
  }
  RespClient connection = redis.Connect();
  const auto comparison = ledger.Compare(connection);
  INFO(comparison.ToString());
  REQUIRE(comparison.difference_count == 0);
  if (books.waiting.empty() && books.unclear.empty()) REQUIRE(comparison.stored == comparison.acknowledged);
  const auto stored = StoredForms(connection, books.refused);
  for (const Event& event : books.refused) REQUIRE_FALSE(stored.contains(event.fields));
}

void Trial::MarkSuspect(int number) const {
  char name[32];
  std::snprintf(name, sizeof name, "spill-%06d.suspect", number);
  std::ofstream(sidecar.spill_dir() / name);
}

std::vector<std::string> Trial::SpillFiles(const std::filesystem::path& below) const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(sidecar.spill_dir() / below)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("spill-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace sprockets::harness
