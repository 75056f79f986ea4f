#include "tests/harness/load.h"

#include <exception>
#include <stdexcept>
#include <utility>

#include "tests/harness/sample_events.h"

namespace sprockets::harness {

Load::Load(const std::filesystem::path& socket_path, Ledger& ledger, const Options& options) : options_(options) {
  for (size_t client = 0; client < options_.clients; ++client) {
    threads_.emplace_back([this, client, socket_path, &ledger] {
      try {
        Run(client, CarefulClient(socket_path, ledger, client));
      } catch (const std::exception& problem) {
        const std::lock_guard lock(mutex_);
        problem_ = problem.what();
      }
    });
  }
}

Load::~Load() {
  stopping_ = true;
  Join();
}

namespace {

constexpr uint64_t kOneInvalidIn = 64;
constexpr uint64_t kRedeliveredOneIn = 8;

// An empty event id is none that anybody could have meant.
Event InvalidEvent(uint64_t n) {
  return {.stream = "bounty-stream",
          .event_id = {},
          .fields = {"data", "invalid " + std::to_string(n), "event_id", ""},
          .invalid = true};
}

}  // namespace

void Load::Run(size_t client, CarefulClient connection) {
  const bool impatient = client + options_.impatient >= options_.clients;
  connection.set_gives_up(impatient);
  std::vector<Event> pipeline;
  uint64_t pipelines = 0;
  for (uint64_t n = client; n < options_.events && !stopping_; n += options_.clients) {
    const uint64_t turn = n / options_.clients;
    Event event = SampleEvent(options_.first_event + n, impatient ? turn % 2 == 0 : options_.always_id);
    if (const auto given = options_.xadd_options.find(event.stream); given != options_.xadd_options.end())
      event.options = given->second;
    pipeline.push_back(std::move(event));
    if (impatient && turn % kOneInvalidIn == 0) pipeline.push_back(InvalidEvent(options_.first_event + n));
    const bool is_last = n + options_.clients >= options_.events;
    if (pipeline.size() < options_.pipeline && !is_last) continue;
    const CarefulClient::Counts sent = connection.Send(pipeline, options_.limit);
    if (options_.redelivers && !impatient && ++pipelines % kRedeliveredOneIn == 0)
      connection.SendAgain(pipeline, options_.limit);
    pipeline.clear();
    {
      const std::lock_guard lock(mutex_);
      counts_ += sent;
    }
    std::this_thread::sleep_for(options_.pause);
  }
}

CarefulClient::Counts Load::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Load::AwaitAcknowledged(size_t events) const {
  Await("acknowledgements", [&] {
    ThrowIfOneFailed();
    return acknowledged() >= events;
  });
}

void Load::AwaitEnd() {
  Join();
  ThrowIfOneFailed();
}

void Load::Stop() {
  stopping_ = true;
  AwaitEnd();
}

void Load::Join() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Load::ThrowIfOneFailed() const {
  const std::lock_guard lock(mutex_);
  if (!problem_.empty()) throw std::runtime_error("a client: " + problem_);
}

}  // namespace sprockets::harness
