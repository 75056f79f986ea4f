#include "replayer/archive/archive_report.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "replayer/archive/entry_rows.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr const char* kOtherStreams = "other";
constexpr size_t kMostStreamLabelBytes = 128;
constexpr size_t kMostStreamReasons = 10;
constexpr size_t kMostWhyBytes = 1'000;

std::string Sentence(const std::string& what, const std::string& why) {
  return what + ": " + Escape(why, kMostWhyBytes) + ".";
}

/// The age of the oldest entry that waits; 0: none does.
int64_t LagMs(const StreamLag& lag, int64_t wall_ms) {
  if (!lag.oldest) return 0;
  return std::max<int64_t>(0, wall_ms - ReceivedMs(*lag.oldest, lag.oldest_wall_ms));
}

const StreamLag* LagOf(const ArchiveView& view, const std::string& stream) {
  const auto found = view.lags.find(stream);
  return found == view.lags.end() ? nullptr : &found->second;
}

bool IsStalled(const ArchiveView& view, const ArchivedStream& stream) {
  const StreamLag* lag = LagOf(view, stream.name);
  return lag != nullptr && lag->oldest && view.steady_ms - lag->oldest_steady_ms >= view.stalled_after_ms;
}

/// Of all streams with the same label.
struct LabelledFigures {
  ArchivedStream sum;
  std::optional<uint64_t> waiting;
  uint64_t pending = 0;
  int64_t lag_ms = 0;
  uint64_t stopped = 0;
};

std::map<std::string, LabelledFigures> ByLabel(const ArchiveView& view) {
  std::map<std::string, LabelledFigures> by_label;
  for (const ArchivedStream& stream : view.figures.streams) {
    const std::string own = LabelText(stream.name, kMostStreamLabelBytes);
    const bool has_room = by_label.size() < kMostStreamLabels && !by_label.contains(own);
    LabelledFigures& at = by_label[has_room ? own : kOtherStreams];
    at.sum.read += stream.read;
    at.sum.archived += stream.archived;
    at.sum.known += stream.known;
    at.sum.dead += stream.dead;
    at.sum.deleted += stream.deleted;
    at.sum.trimmed += stream.trimmed;
    at.sum.batches += stream.batches;
    at.stopped += stream.stopped.empty() ? 0 : 1;
    const StreamLag* lag = LagOf(view, stream.name);
    if (lag == nullptr) continue;
    at.pending += lag->pending;
    at.lag_ms = std::max(at.lag_ms, LagMs(*lag, view.wall_ms));
    if (lag->unread) at.waiting = at.waiting.value_or(0) + *lag->unread + lag->pending;
  }
  return by_label;
}

void AddStream(const std::string& label, const LabelledFigures& at, Metrics* to) {
  const Metrics::Labels labels = {{"stream", label}};
  const auto count = [&](const char* name, const char* help, uint64_t value) {
    to->Counter(name, help, static_cast<double>(value), labels);
  };
  count("sprockets_archive_entries_read_total", "Entries that were read and dealt with.", at.sum.read);
  count("sprockets_archive_entries_archived_total", "Entries that are new in sprockets.log.", at.sum.archived);
  count("sprockets_archive_entries_known_total", "Entries that the log knew, because they were delivered again.",
        at.sum.known);
  count("sprockets_archive_dead_letters_total", "Entries that PostgreSQL does not take and that were put aside.",
        at.sum.dead);
  count("sprockets_archive_entries_deleted_total",
        "Entries that were deleted from their stream while they were pending.", at.sum.deleted);
  count("sprockets_archive_entries_trimmed_total", "Archived entries that --trim has removed.", at.sum.trimmed);
  count("sprockets_archive_batches_total", "Batches that were committed.", at.sum.batches);
  if (at.waiting)
    to->Gauge("sprockets_archive_lag_entries",
              "Entries that the group has not acknowledged, read or not; missing where Redis cannot say it.",
              static_cast<double>(*at.waiting), labels);
  to->Gauge("sprockets_archive_pending_entries", "Entries that were read by a consumer of the group, not acknowledged.",
            static_cast<double>(at.pending), labels);
  to->Gauge("sprockets_archive_lag_seconds",
            "Age of the oldest entry that the group has not acknowledged; 0: none waits.",
            static_cast<double>(at.lag_ms) / 1000, labels);
  to->Gauge("sprockets_archive_streams_stopped", "Streams that were stopped until a table or a handler is corrected.",
            static_cast<double>(at.stopped), labels);
}

}  // namespace

std::vector<ServiceReason> ReasonsOf(const ArchiveView& view) {
  std::vector<ServiceReason> reasons;
  const ArchiveFigures& figures = view.figures;
  if (!figures.reading_waits.empty())
    reasons.push_back({"reading-waits", Sentence("Nothing is read from Redis", figures.reading_waits)});
  if (!figures.writing_waits.empty())
    reasons.push_back({"writing-waits", Sentence("Nothing is written to PostgreSQL", figures.writing_waits)});
  if (!figures.unpublished.empty())
    reasons.push_back({"scores-wait", Sentence("Scores wait in sprockets.outbox", figures.unpublished)});
  size_t told = 0;
  for (const ArchivedStream& stream : figures.streams) {
    const std::string name = Escape(stream.name, kMostStreamLabelBytes);
    const bool is_stopped = !stream.stopped.empty();
    if (!is_stopped && !IsStalled(view, stream)) continue;
    if (++told > kMostStreamReasons) break;
    if (is_stopped) {
      reasons.push_back({"stream-stopped", Sentence("Stream " + name + " was stopped", stream.stopped), stream.name});
    } else {
      const StreamLag& lag = *LagOf(view, stream.name);
      reasons.push_back({"stream-stalled",
                         "Stream " + name + " does not move: entry " + ToString(*lag.oldest) + " has waited for " +
                             FormatDuration(view.steady_ms - lag.oldest_steady_ms) + ".",
                         stream.name});
    }
  }
  return reasons;
}

void AddFigures(const ArchiveView& view, Metrics* to) {
  for (const auto& [label, at] : ByLabel(view)) AddStream(label, at, to);
  const ArchiveFigures& figures = view.figures;
  const auto count = [&](const char* name, const char* help, uint64_t value, const Metrics::Labels& labels = {}) {
    to->Counter(name, help, static_cast<double>(value), labels);
  };
  to->Histogram("sprockets_archive_batch_duration_seconds", "How long the transaction of a batch took, its COMMIT too.",
                figures.batches);
  count("sprockets_archive_batches_failed_total", "Transactions that failed and were tried again.",
        figures.failed_batches);
  const char* reconnects = "sprockets_archive_reconnects_total";
  const char* help = "Connections for the work that were made again after the first.";
  count(reconnects, help, std::max<uint64_t>(figures.redis_connections, 1) - 1, {{"store", "redis"}});
  count(reconnects, help, std::max<uint64_t>(figures.postgres_connections, 1) - 1, {{"store", "postgres"}});
  to->Gauge("sprockets_archive_reading_waits", "Whether nothing can be read from Redis and it is tried again.",
            !figures.reading_waits.empty());
  to->Gauge("sprockets_archive_writing_waits", "Whether a batch cannot be written to PostgreSQL and is tried again.",
            !figures.writing_waits.empty());
  count("sprockets_archive_scores_published_total", "Scores that were written to Redis.", figures.published);
  to->Gauge("sprockets_archive_scores_wait", "Whether scores cannot be written to Redis and are tried again.",
            !figures.unpublished.empty());
}

nlohmann::ordered_json DetailsOf(const ArchiveView& view) {
  nlohmann::ordered_json streams = nlohmann::ordered_json::array();
  for (const ArchivedStream& stream : view.figures.streams) {
    nlohmann::ordered_json json{{"stream", LabelText(stream.name)},
                                {"read", stream.read},
                                {"archived", stream.archived},
                                {"known", stream.known},
                                {"dead", stream.dead},
                                {"deleted", stream.deleted},
                                {"trimmed", stream.trimmed},
                                {"stopped", stream.stopped},
                                {"stalled", IsStalled(view, stream)},
                                {"unread", nullptr},
                                {"pending", nullptr},
                                {"lag_ms", nullptr}};
    if (const StreamLag* lag = LagOf(view, stream.name)) {
      if (lag->unread) json["unread"] = *lag->unread;
      json["pending"] = lag->pending;
      json["lag_ms"] = LagMs(*lag, view.wall_ms);
    }
    streams.push_back(std::move(json));
  }
  return {{"streams", std::move(streams)},
          {"reading_waits", view.figures.reading_waits},
          {"writing_waits", view.figures.writing_waits},
          {"scores_published", view.figures.published},
          {"scores_wait", view.figures.unpublished}};
}

}  // namespace sprockets
