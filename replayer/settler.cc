// The search for rows in doubt and the judgement over them.
#include "replayer/settler.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "replayer/search.h"
#include "shared/text.h"

namespace sprockets {
namespace {

constexpr size_t kMostWanted = 256 * 1024;       // of one pass over the stream; bounds memory
constexpr int64_t kMostCertainRows = 64 * 1024;  // in a row, after which looking ahead for more doubts ends

}  // namespace

StreamSettler::StreamSettler(Session& session, DrainReport& report, SpillFile& file, const SpilledStream& stream,
                             Options options)
    : session_(session), report_(report), file_(file), stream_(stream), options_(std::move(options)) {}

Status StreamSettler::Settle(Batch& batch, const std::optional<RangeDoubt>& range) {
  const auto in_doubt = [](const BatchRow& row) { return row.state == BatchRow::State::kInDoubt; };
  if (std::none_of(batch.rows.begin(), batch.rows.end(), in_doubt)) return {};
  // What the range adds to the doubts was not looked for by an earlier search.
  if (range || !search_ || search_->through_ticket < batch.last_ticket()) RETURN_IF_ERROR(Look(batch, range));
  Judge(batch, range);
  return {};
}

void StreamSettler::Landed(const Batch& batch, const BatchRow& row) {
  if (search_) search_->wanted.Landed(batch.IdentityOf(row, stream_.name, hasher_));
}

void StreamSettler::Passed(int64_t ticket) {
  if (search_ && search_->through_ticket <= ticket) search_.reset();
}

std::optional<StreamSettler::Since> StreamSettler::SinceWhen(const std::optional<StreamId>& own_anchor,
                                                             const std::string& own_run_id,
                                                             const std::optional<RangeDoubt>& range,
                                                             const StreamFacts& facts) const {
  std::optional<Since> since;
  const auto add = [&](StreamId anchor, bool life_changed) {
    const StreamId from = SearchFrom(anchor, life_changed, facts);
    since = since ? Since{std::min(since->from, from), std::min(since->anchor, anchor)} : Since{from, anchor};
  };
  const Server& server = session_.server();
  if (own_anchor) add(*own_anchor, !server.IsSameLife(own_run_id));
  // A range that was led elsewhere may have been tried here before; its anchor is of the other stream.
  const bool range_is_here = range && range->range.target == stream_.name;
  if (options_.whole_file_in_doubt || (range && !range_is_here)) {
    const auto same_life = [&](const ConnectionId& connection) { return server.IsSameLife(connection.run_id); };
    const bool life_known = !connections_.empty() && std::all_of(connections_.begin(), connections_.end(), same_life);
    add(stream_.tail, !life_known);
  }
  if (range_is_here) add(range->range.anchor, range->life_changed);
  return since;
}

Status StreamSettler::Look(const Batch& batch, const std::optional<RangeDoubt>& range) {
  search_.reset();
  ASSIGN_OR_RETURN(connections_, file_.Connections());
  RedisClient& client = session_.client();
  ASSIGN_OR_RETURN(const StreamFacts before, ReadStreamFacts(client, stream_.name));
  Search search;
  search.oldest = before.last_id;
  WantBatch(batch, range, before, &search);
  RETURN_IF_ERROR(LookAhead(batch.last_ticket(), before, &search));

  const EntryReader reader{hasher_, stream_.name, file_.event_id_field()};
  const auto show_progress = [this] { report_.ShowProgress(); };
  RETURN_IF_ERROR(
      SearchStream(client, stream_.name, search.oldest, before.last_id, reader, search.wanted, show_progress));
  ASSIGN_OR_RETURN(search.source, ReadStreamFacts(client, stream_.name));
  if (leads_elsewhere()) {
    // Another copy of an event may have been led there by an earlier file; where it begins is not known.
    ASSIGN_OR_RETURN(const StreamFacts there, ReadStreamFacts(client, options_.target));
    RETURN_IF_ERROR(
        SearchStream(client, options_.target, kStreamBegin, there.last_id, reader, search.wanted, show_progress));
    ASSIGN_OR_RETURN(search.target, ReadStreamFacts(client, options_.target));
  }
  search_ = std::move(search);
  return {};
}

void StreamSettler::WantBatch(const Batch& batch, const std::optional<RangeDoubt>& range, const StreamFacts& facts,
                              Search* search) {
  for (const BatchRow& row : batch.rows) {
    if (row.state != BatchRow::State::kInDoubt) continue;
    const std::optional<Since> since = SinceWhen(row.own_anchor, row.own_run_id, range, facts);
    SPROCKETS_ASSERT(since.has_value());
    search->wanted.Want(batch.IdentityOf(row, stream_.name, hasher_));
    search->oldest = std::min(search->oldest, since->from);
  }
  search->through_ticket = batch.last_ticket();
}

/// Wants the rows in doubt of later batches, too, so that the stream is read once for all of them.
Status StreamSettler::LookAhead(int64_t after, const StreamFacts& facts, Search* search) {
  int64_t certain_rows = 0;
  const auto look = [&](const SpilledEvent& spilled) {
    std::optional<StreamId> anchor;
    std::string run_id;
    if (spilled.doubt) anchor = spilled.doubt->anchor;
    if (spilled.doubt && spilled.doubt->connection) run_id = spilled.doubt->connection->run_id;
    const std::optional<Since> since = SinceWhen(anchor, run_id, std::nullopt, facts);
    search->through_ticket = spilled.ticket;
    if (!since) return ++certain_rows < kMostCertainRows;
    certain_rows = 0;
    search->wanted.Want(hasher_.Of(spilled.event));
    search->oldest = std::min(search->oldest, since->from);
    return search->wanted.size() < kMostWanted;
  };
  // A bad row ends this look into the future; it is dealt with when its own batch is read.
  Status looked = file_.Visit(stream_, after, 0, look);
  if (!looked.ok() && looked.error().code == ErrorCode::kCorrupt) return {};
  return looked;
}

void StreamSettler::Judge(Batch& batch, const std::optional<RangeDoubt>& range) {
  std::unordered_set<EventIdentity, EventIdentityHash> to_be_sent;
  for (BatchRow& row : batch.rows) {
    if (row.state != BatchRow::State::kInDoubt && !row.wants_sending()) continue;
    const EventIdentity identity = batch.IdentityOf(row, stream_.name, hasher_);
    if (row.state == BatchRow::State::kInDoubt) {
      if (search_->wanted.Judge(identity) == Settlement::Verdict::kFound) {
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
  if (!row.needs_proof && !range && !options_.whole_file_in_doubt) return;
  const std::optional<Since> since = SinceWhen(row.own_anchor, row.own_run_id, range, search_->source);
  bool proven = AbsenceIsProof(since->anchor, search_->source, session_.fence());
  if (range && range->range.target != stream_.name) {
    proven = proven && AbsenceIsProof(range->range.anchor, search_->target, session_.fence());
  }
  if (proven) return;
  if (options_.withhold_unproven) row.state = BatchRow::State::kSetAside;
  if (std::exchange(row.unproven, true)) return;
  ++report_.counts.unproven;
  report_.Warn("unproven", {{"file", file_.info().path.filename().native()},
                            {"ticket", row.ticket},
                            {"stream", Escape(stream_.name)},
                            {"event_id", Escape(batch.EventIdOf(row))},
                            {"sent", row.wants_sending()}});
}

}  // namespace sprockets
