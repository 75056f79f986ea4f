#include "tests/faults/soak/other_hands.h"

#include <chrono>
#include <exception>
#include <vector>

#include "tests/faults/soak/ahead_books.h"
#include "tests/faults/soak/expect.h"
#include "tests/harness/ledger.h"

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;

}  // namespace

SecondWriter::SecondWriter(const RedisServer& redis) : thread_([this, &redis] { Run(redis); }) {}

SecondWriter::~SecondWriter() {
  stop_ = true;
  thread_.join();
}

void SecondWriter::Run(const RedisServer& redis) {
  for (uint64_t n = 0; !stop_; ++n) {
    for (const auto& [stream, use] : StreamUses()) {
      if (!use.others_write) continue;
      try {
        RespClient client = redis.Connect();
        client.Send({"XADD", stream, "*", kOfAnother, std::to_string(n)});
        client.TryRead(50ms);
      } catch (const std::exception&) {  // Redis is away
      }
    }
    std::this_thread::sleep_for(10ms);
  }
}

// All within one transaction, so that nobody adds anything between looking and removing.
void Operator::Remove(const RedisServer& redis, int choice) {
  std::vector<std::pair<std::string, StreamUse>> streams;
  for (const auto& [stream, use] : StreamUses()) {
    if (use.entries_are_removed) streams.emplace_back(stream, use);
  }
  const auto& [stream, use] = streams[static_cast<size_t>(choice) % streams.size()];
  const int way = choice / static_cast<int>(streams.size()) % (use.is_deleted ? 4 : 3);
  const int64_t length = redis.Call({"XLEN", stream}).integer;
  if (length == 0) return;
  const int64_t keep = choice % length;
  Command remove = {"XTRIM", stream, "MAXLEN", std::to_string(keep)};
  if (way == 1) remove = {"XTRIM", stream, "MAXLEN", "~", std::to_string(keep)};
  if (way == 2) {
    remove = {"XDEL", stream};
    const Reply last = redis.Call({"XREVRANGE", stream, "+", "-", "COUNT", std::to_string(1 + choice % 40)});
    for (size_t i = 0; i < last.elements.size(); i += 2) remove.push_back(last.elements[i].elements.at(0).text);
  }
  if (way == 3) remove = {"DEL", stream};
  RespClient client = redis.Connect();
  const std::vector<Command> transaction = {
      {"MULTI"}, {"XRANGE", stream, "-", "+"}, remove, {"XRANGE", stream, "-", "+"}, {"EXEC"}};
  const Reply done = client.Pipeline(transaction).back();
  Expect(done.elements.size() == 3, "an operator's transaction was answered " + done.text);
  std::set<std::string> left;
  for (const Reply& entry : done.elements[2].elements) left.insert(entry.elements.at(0).text);
  for (const Reply& entry : done.elements[0].elements) {
    if (left.contains(entry.elements.at(0).text)) continue;
    std::vector<std::string> fields;
    for (const Reply& word : entry.elements.at(1).elements) fields.push_back(word.text);
    removed_.insert(Ledger::KeyOf(stream, fields));
  }
}

}  // namespace sprockets::soak
