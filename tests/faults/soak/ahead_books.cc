#include "tests/faults/soak/ahead_books.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "shared/redis/stream_id.h"

namespace sprockets::soak {
namespace {

using namespace sprockets::harness;
using Records = std::map<std::string, Ledger::Record>;

constexpr size_t kMostDifferencesNamed = 10;

struct Stream {
  std::vector<std::pair<std::string, StreamEntry>> entries;  // of ours, with their keys
  std::map<std::string, std::vector<std::string>> ids;       // by key
  StreamId first;                                            // entry, whoever wrote it
  size_t length = 0;
};

Stream Read(RespClient& redis, const std::string& name) {
  Stream stream;
  for (StreamEntry& entry : ReadEntries(redis, name)) {
    if (stream.length++ == 0) stream.first = ParseStreamId(entry.id).value();
    if (entry.fields.at(0) == kOfAnother) continue;
    std::string key = Ledger::KeyOf(name, entry.fields);
    stream.ids[key].push_back(entry.id);
    stream.entries.emplace_back(std::move(key), std::move(entry));
  }
  return stream;
}

// MAXLEN takes entries from the front, and none while there are not more than that.
bool IsTrimmed(const Stream& stream, const StreamUse& use, const std::string& told) {
  return use.most > 0 && stream.length >= use.most && ParseStreamId(told).value() < stream.first;
}

/// Whatever was sent after an acknowledgement stands behind what that was for.
void CompareOrder(const std::string& name, const Stream& stream, const Records& records, AheadComparison& result) {
  uint64_t latest_sent = 0;
  for (const auto& [key, entry] : stream.entries) {
    const Ledger::Record& record = records.at(key);
    ++result.in_order;
    if (record.acknowledged && latest_sent >= record.acknowledged_before)
      result.Differs(entry.id + " in " + name + " stands behind what was sent after its acknowledgement");
    latest_sent = std::max(latest_sent, record.number);
  }
}

}  // namespace

const std::map<std::string, StreamUse>& StreamUses() {
  static const std::map<std::string, StreamUse> uses = {
      {"bounty-stream", {}},
      {"contributions", {}},
      {"issue-stream", {.most = 60, .xadd_options = {"MAXLEN", "60"}}},
      {"live-update-stream", {.most = 300, .xadd_options = {"MAXLEN", "~", "300"}}},
      {"rindexer_producer", {.entries_are_removed = true, .is_deleted = true}},
      {"solution-merged-stream", {.others_write = true}},
      {"automatic-events-stream", {.others_write = true, .entries_are_removed = true}}};
  return uses;
}

void AheadComparison::Differs(const std::string& what) {
  if (++difference_count <= kMostDifferencesNamed) differences.push_back(what);
}

std::string AheadComparison::ToString() const {
  std::string text = std::to_string(acknowledged) + " acknowledged, " + std::to_string(stored) + " in the streams, " +
                     std::to_string(removed) + " removed on purpose, " + std::to_string(difference_count) +
                     " differences";
  for (const std::string& difference : differences) text += "\n  " + difference;
  return text;
}

AheadComparison CompareAhead(const Ledger& ledger, RespClient& redis, const std::set<std::string>& removed,
                             const std::map<std::string, Decided>& decided) {
  const Records records = ledger.Records();
  AheadComparison result;
  std::map<std::string, Stream> streams;
  for (const auto& [name, use] : StreamUses()) {
    Stream stream = Read(redis, name);
    result.stored += stream.entries.size();
    std::erase_if(stream.entries, [&](const auto& entry) {
      const bool is_ours = records.contains(entry.first);
      if (!is_ours) result.Differs(entry.second.id + " in " + name + " was never sent");
      return !is_ours;
    });
    if (use.most > 0 && use.xadd_options.size() == 2 && stream.length > use.most)
      result.Differs(name + " has " + std::to_string(stream.length) + " entries");
    if (!use.others_write) CompareOrder(name, stream, records, result);
    streams.emplace(name, std::move(stream));
  }

  std::map<std::string, std::vector<std::string>> unexplained;  // by stream
  for (const auto& [key, record] : records) {
    const std::string& name = record.event.stream;
    const StreamUse& use = StreamUses().at(name);
    const Stream& stream = streams.at(name);
    const auto found = stream.ids.find(key);
    const size_t times = found == stream.ids.end() ? 0 : found->second.size();
    result.acknowledged += record.acknowledged ? 1 : 0;
    result.refused += record.refused ? 1 : 0;
    if (record.refused && times > 0) result.Differs(found->second.front() + " in " + name + " was refused");
    if (times > 1) {
      result.doubled += times - 1;
      unexplained[name].push_back(found->second[0] + " and " + found->second[1] + " are one event");
    }
    if (!record.acknowledged) continue;
    if (times == 0 && (removed.contains(key) || IsTrimmed(stream, use, record.reply))) {
      ++result.removed;
    } else if (times == 0) {
      ++result.lost;
      unexplained[name].push_back(record.reply + " is missing");
    } else if (found->second.front() != record.reply) {
      if (!use.others_write) result.Differs(record.reply + " in " + name + " stands as " + found->second.front());
      ++result.moved;
    }
  }
  for (const auto& [name, problems] : unexplained) {
    const auto told = decided.find(name);
    const bool may_be = StreamUses().at(name).others_write && StreamUses().at(name).entries_are_removed;
    if (may_be && told != decided.end() && problems.size() <= told->second.without_proof) {
      result.excused += problems.size();
      continue;
    }
    for (const std::string& problem : problems) result.Differs("in " + name + ": " + problem);
  }
  return result;
}

}  // namespace sprockets::soak
