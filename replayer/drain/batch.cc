// Reading and encoding a batch.
#include "replayer/drain/batch.h"

#include <algorithm>
#include <span>
#include <utility>

#include "shared/redis/resp.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

constexpr size_t kSmallBytes = 256 * 1024;
constexpr size_t kWordsOfXadd = 3;  // XADD, the stream and '*'; options and fields come on top

std::vector<std::string_view> WordsOfCommand(std::string_view command) {
  std::vector<std::string_view> words;
  const bool whole = ParseWholeCommand(command, &words);
  SPROCKETS_ASSERT(whole);
  return words;
}

}  // namespace

void Batch::DoubtAll() {
  for (BatchRow& row : rows) {
    if (row.state != BatchRow::State::kPresent && row.state != BatchRow::State::kSetAside) {
      row.state = BatchRow::State::kInDoubt;
    }
  }
}

bool Batch::AllNeverSent() const {
  const auto never_sent = [](const BatchRow& row) { return row.state == BatchRow::State::kNeverSent; };
  return std::all_of(rows.begin(), rows.end(), never_sent);
}

void Batch::Append(Batch next) {
  const size_t shift = commands.size();
  commands += next.commands;
  for (BatchRow& row : next.rows) {
    row.begin += shift;
    row.end += shift;
    rows.push_back(std::move(row));
  }
}

std::string_view Batch::EventIdOf(const BatchRow& row) const {
  return WordsOfCommand(CommandOf(row))[row.fields_at + row.event_id_at];
}

EventIdentity Batch::IdentityOf(const BatchRow& row, std::string_view stream, const IdentityHasher& hasher) const {
  const std::vector<std::string_view> words = WordsOfCommand(CommandOf(row));
  return hasher.Of(stream, std::span(words).subspan(row.fields_at), row.event_id_at);
}

Result<Batch> ReadBatch(SpillFile& file, const SpilledStream& stream, std::string_view target, const BatchRange& range,
                        const std::function<void()>& on_row, Batch spare) {
  Batch batch = std::move(spare);
  batch.rows.clear();
  batch.commands.clear();
  EventView event;
  const auto take = [&](const SpilledEvent& spilled) {
    BatchRow& row = batch.rows.emplace_back();
    row.ticket = spilled.ticket;
    if (spilled.doubt) {
      row.state = BatchRow::State::kInDoubt;
      row.own_doubt = std::make_unique<const Doubt>(*spilled.doubt);
    }
    event = spilled.event;
    event.stream = target;
    row.begin = batch.commands.size();
    // One that is not small is likely to become as large as it may: from here on it is not moved any more.
    if (row.begin > kSmallBytes) batch.commands.reserve(Batch::kMostBytes + kSmallBytes);
    AppendXadd(batch.commands, event);
    row.end = batch.commands.size();
    row.fields_at = static_cast<uint32_t>(kWordsOfXadd + event.options.size());
    row.event_id_at = static_cast<uint32_t>(event.event_id_at);
    on_row();
    return range.up_to != 0 || (batch.rows.size() < range.most_rows && batch.commands.size() < Batch::kMostBytes);
  };
  RETURN_IF_ERROR(file.Visit(stream, range.after, range.up_to, take));
  return batch;
}

}  // namespace sprockets
