#include "tests/harness/ledger.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "shared/base/text.h"
#include "shared/redis/stream_id.h"

namespace sprockets::harness {
namespace {

constexpr char kEventIdField[] = "event_id";
constexpr size_t kMostDifferencesNamed = 10;
constexpr char kPageEntries[] = "1000";

size_t EventIdAt(const std::vector<std::string>& fields) {
  size_t at = 0;
  while (at < fields.size() && fields[at] != kEventIdField) at += 2;
  return at;
}

// As the stream must hold it: byte for byte, an event id that the sidecar made coming last.
bool IsStoredForm(const Event& event, const std::vector<std::string>& stored) {
  if (!event.event_id.empty()) return stored == event.fields;
  const size_t fields = event.fields.size();
  return stored.size() == fields + 2 && stored[fields] == kEventIdField && !stored[fields + 1].empty() &&
         std::equal(event.fields.begin(), event.fields.end(), stored.begin());
}

bool IsTicket(const std::string& reply) {
  return reply.starts_with("0-");
}

std::vector<StreamEntry> ReadStreamAndLed(RespClient& redis, const std::string& stream, const std::string& led_suffix) {
  std::vector<StreamEntry> entries = ReadEntries(redis, stream);
  if (led_suffix.empty()) return entries;
  std::vector<StreamEntry> led = ReadEntries(redis, stream + led_suffix);
  std::move(led.begin(), led.end(), std::back_inserter(entries));
  return entries;
}

std::string Describe(const std::string& stream, const std::vector<std::string>& fields) {
  std::string text = Escape(stream, 60) + ":";
  for (const std::string& field : fields) text += " \"" + Escape(field, 60) + "\"";
  return text;
}

}  // namespace

Command XaddOf(const Event& event) {
  Command command = {"XADD", event.stream};
  command.insert(command.end(), event.options.begin(), event.options.end());
  command.emplace_back("*");
  command.insert(command.end(), event.fields.begin(), event.fields.end());
  return command;
}

std::string Ledger::KeyOf(const std::string& stream, const std::vector<std::string>& fields) {
  const size_t event_id_at = EventIdAt(fields);
  std::string key = std::to_string(stream.size()) + ":" + stream;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i == event_id_at || i == event_id_at + 1) continue;
    key += std::to_string(fields[i].size()) + ":" + fields[i];
  }
  return key;
}

void Ledger::Intend(const Event& event, size_t client) {
  const std::lock_guard lock(mutex_);
  const Record record{.event = event, .client = client, .number = intended_++};
  if (!records_.emplace(KeyOf(event.stream, event.fields), record).second) {
    throw std::invalid_argument("two events with the same payload: " + Describe(event.stream, event.fields));
  }
}

void Ledger::Acknowledge(const Event& event) {
  const std::lock_guard lock(mutex_);
  records_.at(KeyOf(event.stream, event.fields)).acknowledged = true;
}

void Ledger::Acknowledge(const Event& event, const std::string& reply, bool at_once) {
  const std::lock_guard lock(mutex_);
  Record& record = records_.at(KeyOf(event.stream, event.fields));
  record.acknowledged = true;
  record.reply = reply;
  record.at_once = at_once;
  record.acknowledged_before = intended_;
}

void Ledger::Refuse(const Event& event) {
  const std::lock_guard lock(mutex_);
  records_.at(KeyOf(event.stream, event.fields)).refused = true;
}

size_t Ledger::acknowledged() const {
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const auto& [key, record] : records_) count += record.acknowledged ? 1 : 0;
  return count;
}

std::map<std::string, Ledger::Record> Ledger::Records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

void Ledger::Comparison::Differs(const std::string& how, const Event& event) {
  if (++difference_count <= kMostDifferencesNamed)
    differences.push_back(how + " in " + Describe(event.stream, event.fields));
}

size_t Ledger::NotExactlyOnce(RespClient& redis, const std::vector<Event>& events, const std::string& led_suffix) {
  std::map<std::string, size_t> times;
  std::set<std::string> streams;
  for (const Event& event : events) {
    times[KeyOf(event.stream, event.fields)] = 0;
    streams.insert(event.stream);
  }
  for (const std::string& stream : streams) {
    for (const StreamEntry& entry : ReadStreamAndLed(redis, stream, led_suffix)) {
      const auto found = times.find(KeyOf(stream, entry.fields));
      if (found != times.end()) ++found->second;
    }
  }
  return static_cast<size_t>(
      std::count_if(times.begin(), times.end(), [](const auto& event) { return event.second != 1; }));
}

Ledger::Comparison Ledger::Compare(RespClient& redis, const std::set<std::string>& never_sent,
                                   const std::string& led_suffix) const {
  const std::lock_guard lock(mutex_);
  Comparison result;

  std::set<std::string> streams;
  for (const auto& [key, record] : records_) streams.insert(record.event.stream);
  std::map<std::string, Place> places;
  for (const std::string& stream : streams) {
    size_t index = 0;
    for (StreamEntry& entry : ReadStreamAndLed(redis, stream, led_suffix)) {
      ++result.stored;
      const std::string key = KeyOf(stream, entry.fields);
      const auto found = records_.find(key);
      const Event stored{.stream = stream, .event_id = {}, .fields = std::move(entry.fields)};
      if (found == records_.end()) {
        result.Differs("never sent", stored);
      } else if (!IsStoredForm(found->second.event, stored.fields)) {
        result.Differs("stored with other bytes", stored);
      } else if (!places.emplace(key, Place{std::move(entry.id), index++}).second) {
        ++result.doubled;
        result.Differs("stored again", stored);
      }
    }
  }
  for (const auto& [key, record] : records_) {
    const auto place = places.find(key);
    const bool is_stored = place != places.end();
    if (record.refused) {
      ++result.refused;
      if (is_stored) result.Differs("refused and yet stored", record.event);
    }
    if (!record.acknowledged) continue;
    ++result.acknowledged;
    if (!is_stored) {
      ++result.lost;
      result.Differs("acknowledged and missing", record.event);
    } else if (!record.reply.empty() && !IsTicket(record.reply) && record.reply != place->second.id) {
      result.Differs("acknowledged as " + record.reply + ", stored as " + place->second.id, record.event);
    }
  }
  CompareOrder(places, never_sent, result);
  return result;
}

void Ledger::CompareOrder(const std::map<std::string, Place>& places, const std::set<std::string>& never_sent,
                          Comparison& result) const {
  // What was sent, or given a ticket, in this order, and where it stands.
  using Line = std::map<std::pair<uint64_t, uint64_t>, std::pair<const Event*, size_t>>;
  std::map<std::pair<std::string, size_t>, Line> straight;  // by stream and client
  std::map<std::string, Line> spilled;                      // by stream
  for (const auto& [key, record] : records_) {
    const auto place = places.find(key);
    if (place == places.end() || record.reply.empty()) continue;
    const std::pair standing(&record.event, place->second.index);
    if (IsTicket(record.reply)) {
      const StreamId ticket = ParseStreamId(record.reply).value();
      if (never_sent.contains(record.reply)) spilled[record.event.stream][{ticket.ms, ticket.seq}] = standing;
    } else if (record.at_once) {
      straight[{record.event.stream, record.client}][{0, record.number}] = standing;
    }
  }
  const auto compare = [&](const Line& line) {
    for (auto later = line.begin(), earlier = later; later != line.end(); earlier = later++) {
      if (later == line.begin()) continue;
      ++result.in_order;
      if (later->second.second < earlier->second.second)
        result.Differs("stands before what came before it", *later->second.first);
    }
  };
  for (const auto& [whose, line] : straight) compare(line);
  for (const auto& [stream, line] : spilled) compare(line);
}

std::string Ledger::Comparison::ToString() const {
  std::string text = std::to_string(acknowledged) + " acknowledged, " + std::to_string(stored) + " in the streams, " +
                     std::to_string(difference_count) + " differences";
  for (const std::string& difference : differences) text += "\n  " + difference;
  return text;
}

std::vector<StreamEntry> ReadEntries(RespClient& redis, const std::string& stream) {
  std::vector<StreamEntry> entries;
  std::string from = "-";
  for (;;) {
    const Reply page = redis.Call({"XRANGE", stream, from, "+", "COUNT", kPageEntries});
    if (page.type != Reply::Type::kArray) throw std::runtime_error("XRANGE " + stream + ": " + page.text);
    if (page.elements.empty()) return entries;
    for (const Reply& entry : page.elements) {
      StreamEntry& read = entries.emplace_back(StreamEntry{entry.elements.at(0).text, {}});
      for (const Reply& word : entry.elements.at(1).elements) read.fields.push_back(word.text);
    }
    from = "(" + page.elements.back().elements.at(0).text;
  }
}

std::vector<std::vector<std::string>> ReadStream(RespClient& redis, const std::string& stream) {
  std::vector<std::vector<std::string>> all;
  for (StreamEntry& entry : ReadEntries(redis, stream)) all.push_back(std::move(entry.fields));
  return all;
}

}  // namespace sprockets::harness
