// The search for rows in doubt and the judgement over them.
#include "replayer/drain/settler.h"

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "replayer/drain/search.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr int64_t kMostCertainRows = 64 * 1024;  // in a row, after which looking ahead for more doubts ends
constexpr uint64_t kRowsForAnEntry = 4;          // to read a row of a file costs less than an entry over the network
constexpr uint64_t kRowsForAFile = 2'000;        // to open a file costs as much as to read so many of its rows

constexpr StreamId kStreamEnd{std::numeric_limits<uint64_t>::max(), std::numeric_limits<uint64_t>::max()};

bool IsInDoubt(const BatchRow& row) {
  return row.state == BatchRow::State::kInDoubt;
}

}  // namespace

StreamSettler::StreamSettler(Session& session, DrainReport& report, Searches& searches, SpillFile& file,
                             const SpilledStream& stream, Options options)
    : session_(session),
      report_(report),
      searches_(searches),
      file_(file),
      stream_(stream),
      options_(std::move(options)) {}

Status StreamSettler::Settle(Batch& batch, const std::optional<RangeDoubt>& range) {
  if (std::none_of(batch.rows.begin(), batch.rows.end(), IsInDoubt)) return {};
  // What the range adds to the doubts was not looked for by an earlier search.
  if (range || looked_through_ < batch.last_ticket()) RETURN_IF_ERROR(Look(batch, range));
  Judge(batch, range);
  return {};
}

void StreamSettler::Landed(const Batch& batch, const BatchRow& row) {
  if (looked_through_ == 0) return;
  const EventIdentity identity = batch.IdentityOf(row, stream_.name, searches_.hasher());
  for (const Place& place : places_) place.search->wanted.Landed(identity);
}

StreamSettler::FileDoubt StreamSettler::DoubtOf(bool whole_file, const std::vector<ConnectionId>& connections,
                                                StreamId tail) const {
  const auto same_life = [this](const ConnectionId& connection) {
    return session_.server().IsSameLife(connection.run_id);
  };
  const bool life_known = !connections.empty() && std::all_of(connections.begin(), connections.end(), same_life);
  return {whole_file, life_known, tail};
}

std::optional<StreamSettler::Since> StreamSettler::SinceWhen(const Doubt* own, const FileDoubt& file,
                                                             const std::optional<RangeDoubt>& range,
                                                             const StreamFacts& facts) const {
  std::optional<Since> since;
  const auto add = [&](StreamId anchor, bool life_changed) {
    const StreamId from = SearchFrom(anchor, life_changed, facts);
    since = since ? Since{std::min(since->from, from), std::min(since->anchor, anchor)} : Since{from, anchor};
  };
  if (own != nullptr) {
    const bool same_life = own->connection && session_.server().IsSameLife(own->connection->run_id);
    add(own->anchor, !same_life);
  }
  // A range that was led elsewhere may have been tried here before; its anchor is of the other stream.
  const bool range_is_here = range && range->range.target == stream_.name;
  if (file.whole_file || (range && !range_is_here)) add(file.tail, !file.life_known);
  if (range_is_here) add(range->range.anchor, range->life_changed);
  return since;
}

/// This stream, every one that its rows or those of other files were led to, and the one that they shall go to.
std::vector<StreamSettler::Place> StreamSettler::PlacesOf(const std::optional<RangeDoubt>& range) {
  std::vector<Place> places;
  const auto add = [&](const std::string& name, std::optional<StreamId> anchor) {
    const auto is_same = [&](const Place& place) { return place.name == name; };
    auto place = std::find_if(places.begin(), places.end(), is_same);
    if (place == places.end()) {
      places.push_back({name, std::nullopt, &searches_.In(name, stream_.name, file_.event_id_field())});
      place = std::prev(places.end());
    }
    if (anchor) place->anchor = std::min(place->anchor.value_or(*anchor), *anchor);
    if (anchor) place->search->seen = std::max(place->search->seen, *anchor);
  };
  add(stream_.name, std::nullopt);
  for (const LedTo& led : stream_.led_to) {
    // Rows that were not in flight were sent nowhere yet.
    add(led.target, options_.whole_file_in_doubt || range ? std::optional(led.anchor) : std::nullopt);
  }
  if (range && range->range.target != stream_.name) add(range->range.target, range->range.anchor);
  for (const std::string& target : session_.LedElsewhere(stream_.name)) add(target, std::nullopt);
  add(options_.target, std::nullopt);
  return places;
}

void StreamSettler::Want(const EventIdentity& identity, const Since& since) {
  for (const Place& place : places_) {
    const bool is_own = &place == &places_.front();
    // In another stream, where an earlier copy of the event begins is not known.
    place.search->wanted.Want(identity, is_own ? since.from : kStreamBegin);
  }
  PlaceSearch& own = *places_.front().search;
  own.seen = std::max(own.seen, since.anchor);
}

/// False: it is not in doubt.
bool StreamSettler::WantSpilled(const SpilledEvent& spilled, const FileDoubt& file, const StreamFacts& facts) {
  const Doubt* own = spilled.doubt ? &*spilled.doubt : nullptr;
  const std::optional<Since> since = SinceWhen(own, file, std::nullopt, facts);
  if (!since) return false;
  Want(searches_.hasher().Of(spilled.event), *since);
  return true;
}

Status StreamSettler::Look(const Batch& batch, const std::optional<RangeDoubt>& range) {
  looked_through_ = 0;
  ASSIGN_OR_RETURN(const std::vector<ConnectionId> connections, file_.Connections());
  file_doubt_ = DoubtOf(options_.whole_file_in_doubt, connections, stream_.tail);
  searches_.Prepare(session_.server().self().run_id);
  places_ = PlacesOf(range);
  std::vector<StreamFacts> before;
  for (const Place& place : places_) {
    ASSIGN_OR_RETURN(before.emplace_back(), session_.Facts(place.name));
    // It began again, or lost its end: what was found there is there no more.
    if (before.back().last_id < place.search->wanted.bound()) {
      place.search->wanted = {};
      place.search->files_looked_into = 0;
    }
    place.search->seen = std::max(place.search->seen, before.back().last_id);
  }
  places_.front().search->seen = std::max(places_.front().search->seen, stream_.tail);
  WantBatch(batch, range, before.front());
  ASSIGN_OR_RETURN(const int64_t through_ticket, LookAhead(batch.last_ticket(), before.front()));
  RETURN_IF_ERROR(LookIntoLaterFiles(before.front()));

  const EntryReader reader{searches_.hasher(), stream_.name, file_.event_id_field()};
  for (size_t i = 0; i < places_.size(); ++i) {
    const StreamId bound = before[i].last_id_known ? before[i].last_id : kStreamEnd;
    RETURN_IF_ERROR(SearchStream(session_.client(), places_[i].name, bound, reader, places_[i].search->wanted,
                                 [this] { report_.ShowProgress(); }));
    ASSIGN_OR_RETURN(places_[i].search->facts, session_.Facts(places_[i].name));
  }
  looked_through_ = through_ticket;
  return {};
}

void StreamSettler::WantBatch(const Batch& batch, const std::optional<RangeDoubt>& range, const StreamFacts& facts) {
  for (const BatchRow& row : batch.rows) {
    if (!IsInDoubt(row)) continue;
    const std::optional<Since> since = SinceWhen(row.own_doubt.get(), file_doubt_, range, facts);
    SPROCKETS_ASSERT(since.has_value());
    Want(batch.IdentityOf(row, stream_.name, searches_.hasher()), *since);
  }
}

/// Wants the rows in doubt of later batches, too, so that the stream is read once for all of them. Up to which ticket?
Result<int64_t> StreamSettler::LookAhead(int64_t after, const StreamFacts& facts) {
  const Settlement& wanted = places_.front().search->wanted;
  int64_t through_ticket = after;
  int64_t certain_rows = 0;
  const auto look = [&](const SpilledEvent& spilled) {
    through_ticket = spilled.ticket;
    if (!WantSpilled(spilled, file_doubt_, facts)) return ++certain_rows < kMostCertainRows;
    certain_rows = 0;
    return wanted.size() < Searches::kMostWanted;
  };
  // A bad row ends this look into the future; it is dealt with when its own batch is read.
  Status looked = file_.Visit(stream_, after, 0, look);
  if (!looked.ok() && looked.error().code != ErrorCode::kCorrupt) return std::move(looked).error();
  return through_ticket;
}

/// A search from the very beginning, as after a restart of Redis, is dear: it looks for the doubts of later files, too,
/// as long as to read them costs less than the search.
Status StreamSettler::LookIntoLaterFiles(const StreamFacts& facts) {
  PlaceSearch& search = *places_.front().search;
  if (search.wanted.all_found() || search.wanted.begin() != kStreamBegin) return {};
  const int64_t above = std::max(file_.info().number, search.files_looked_into);
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files,
                   searches_.folder().List([above](int64_t number) { return number > above; }));
  uint64_t affordable_rows = kRowsForAnEntry * facts.length;
  for (const SpillFileInfo& info : files) {
    const bool waits = info.state == SpillFileInfo::State::kSealed && !info.quarantined;
    if (!waits) continue;
    if (search.wanted.size() >= Searches::kMostWanted || affordable_rows < kRowsForAFile) return {};
    affordable_rows -= kRowsForAFile;
    RETURN_IF_ERROR(LookIntoFile(info, facts, &affordable_rows));
    search.files_looked_into = info.number;
  }
  return {};
}

/// Whatever cannot be read here is dealt with when the file's turn comes.
Status StreamSettler::LookIntoFile(const SpillFileInfo& info, const StreamFacts& facts, uint64_t* affordable_rows) {
  const Result<std::unique_ptr<SpillFile>> opened = searches_.folder().OpenFile(info);
  if (!opened.ok() || opened.value()->event_id_field() != file_.event_id_field()) return {};
  SpillFile& file = *opened.value();
  const Result<std::vector<SpilledStream>> streams = file.Streams();
  const Result<std::vector<ConnectionId>> connections = file.Connections();
  if (!streams.ok() || !connections.ok()) return file.Close();
  for (const SpilledStream& stream : streams.value()) {
    const auto rows = static_cast<uint64_t>(stream.rows_left);
    if (stream.name != stream_.name || rows > *affordable_rows) continue;
    *affordable_rows -= rows;
    const FileDoubt doubt = DoubtOf(info.suspect, connections.value(), stream.tail);
    const auto look = [&](const SpilledEvent& spilled) {
      WantSpilled(spilled, doubt, facts);
      return places_.front().search->wanted.size() < Searches::kMostWanted;
    };
    const int64_t after = stream.cursor.done_ticket;
    const Status looked = info.suspect ? file.Visit(stream, after, 0, look) : file.VisitDoubts(stream, after, look);
    static_cast<void>(looked);
  }
  return file.Close();
}

void StreamSettler::Judge(Batch& batch, const std::optional<RangeDoubt>& range) {
  std::unordered_set<EventIdentity, EventIdentityHash> to_be_sent;
  for (BatchRow& row : batch.rows) {
    if (row.state != BatchRow::State::kInDoubt && !row.wants_sending()) continue;
    const EventIdentity identity = batch.IdentityOf(row, stream_.name, searches_.hasher());
    if (row.state == BatchRow::State::kInDoubt) {
      const auto has_it = [&](const Place& place) {
        return place.search->wanted.Judge(identity) == Settlement::Verdict::kFound;
      };
      if (std::any_of(places_.begin(), places_.end(), has_it)) {
        row.state = BatchRow::State::kPresent;
        ++report_.counts.already_there;
      } else if (to_be_sent.contains(identity)) {
        row.state = BatchRow::State::kTwin;
      } else {
        JudgeAbsent(batch, row, range);
      }
    }
    if (row.wants_sending()) to_be_sent.insert(identity);
  }
}

void StreamSettler::JudgeAbsent(const Batch& batch, BatchRow& row, const std::optional<RangeDoubt>& range) {
  row.state = BatchRow::State::kAbsent;
  const bool needs_proof = row.own_doubt == nullptr || row.own_doubt->needs_proof;
  if (!needs_proof && !range && !options_.whole_file_in_doubt) return;
  if (AbsenceIsProven(row, range)) return;
  if (options_.withhold_unproven) row.state = BatchRow::State::kSetAside;
  if (std::exchange(row.unproven, true)) return;
  ++report_.counts.unproven;
  report_.Warn("unproven", {{"file", file_.info().path.filename().native()},
                            {"ticket", row.ticket},
                            {"stream", Escape(stream_.name)},
                            {"event_id", Escape(batch.EventIdOf(row))},
                            {"sent", row.wants_sending()}});
}

/// In every place that it may have been sent to.
bool StreamSettler::AbsenceIsProven(const BatchRow& row, const std::optional<RangeDoubt>& range) const {
  const PlaceSearch& own = *places_.front().search;
  const std::optional<Since> since = SinceWhen(row.own_doubt.get(), file_doubt_, range, own.facts);
  SPROCKETS_ASSERT(since.has_value());
  const auto proves = [this](const PlaceSearch& search, StreamId anchor) {
    return AbsenceIsProof(anchor, search.facts, session_.fence(), search.seen);
  };
  return proves(own, since->anchor) && std::all_of(places_.begin(), places_.end(), [&](const Place& place) {
           return !place.anchor || proves(*place.search, *place.anchor);
         });
}

}  // namespace sprockets
