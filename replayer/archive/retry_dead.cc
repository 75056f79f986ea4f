#include "replayer/archive/retry_dead.h"

#include <algorithm>
#include <utility>

#include "replayer/archive/broken_json.h"
#include "replayer/archive/score_thread.h"
#include "replayer/archive/sql_state.h"
#include "replayer/postgres/binary.h"
#include "replayer/terminal/stop.h"
#include "shared/base/clock.h"

namespace sprockets {
namespace {

constexpr int kPageLetters = 200;

/// One page of a stream's letters, as a batch.
struct Page {
  EntryBatch batch;
  std::vector<std::string> numbers;  // of each entry
};

/// `where` stands alone in a subquery, so that whatever it says, it chooses among the letters of the stream.
std::string LettersSql(const std::string& where) {
  std::string letters = "sprockets.dead_letters";
  if (!where.empty()) letters = "(SELECT * FROM " + letters + " WHERE (\n" + where + "\n)) AS chosen";
  return "SELECT number, id FROM " + letters +
         " WHERE stream = $1 AND number > $2::bigint AND retried_at IS NULL AND payload_hash IS NOT NULL "
         "ORDER BY number LIMIT $3::int";
}

/// Letters above `after`.
Result<Page> ReadPage(Postgres& postgres, const std::string& stream, const std::string& after, const std::string& where,
                      const std::string& event_id_field) {
  Page page;
  page.batch.stream = stream;
  const std::vector<std::string> parameters{stream, after, std::to_string(kPageLetters)};
  RETURN_IF_ERROR(postgres.BeginSnapshot());
  const Result<Postgres::Rows> letters = postgres.Query(LettersSql(where), parameters);
  if (!letters.ok()) return where.empty() ? letters.error() : Error(letters.error()).Prefixed("with --where");
  for (const auto& letter : letters.value()) {
    const std::optional<StreamId> id = ParseStreamId(letter[1].value_or(""));
    const std::string number = letter[0].value_or("");
    if (!id) return Error{ErrorCode::kCorrupt, "dead letter " + number + " has no entry id"};
    std::vector<std::string> parts;
    RETURN_IF_ERROR(
        postgres.CopyOut("SELECT part FROM sprockets.dead_letters, unnest(raw) WITH ORDINALITY AS raws "
                         "(part, place) WHERE number = " +
                             number + " ORDER BY place",
                         [&](std::span<const Postgres::ValueView> values) -> Status {
                           parts.emplace_back(values[0].value_or(""));
                           return {};
                         }));
    if (parts.empty() || parts.size() % 2 != 0)
      return Error{ErrorCode::kCorrupt, "dead letter " + number + " has no pairs of names and values"};
    const std::vector<std::string_view> fields(parts.begin(), parts.end());
    AppendEntry(page.batch, *id, fields, event_id_field, WallClockMs());
    page.numbers.push_back(number);
  }
  RETURN_IF_ERROR(postgres.Commit());
  return page;
}

/// In the transaction of the batch.
Status NoteOutcomes(Postgres& postgres, const std::vector<std::string>& numbers, std::span<const EntryOutcome> outcomes,
                    std::span<const EntryFailure> failures) {
  for (size_t i = 0; i < numbers.size(); ++i) {
    const bool done = outcomes[i] == EntryOutcome::kArchived || outcomes[i] == EntryOutcome::kKnown;
    const std::vector<std::string> words =
        done ? std::vector<std::string>{numbers[i]}
             : std::vector<std::string>{numbers[i], failures[i].error.message, failures[i].error.sqlstate,
                                        failures[i].handler};
    const auto noted = postgres.Query(
        done ? "UPDATE sprockets.dead_letters SET retried_at = now() WHERE number = $1::bigint"
             : "UPDATE sprockets.dead_letters SET error = $2, sqlstate = nullif($3, ''), handler = nullif($4, '') "
               "WHERE number = $1::bigint",
        words);
    if (!noted.ok()) return noted.error();
  }
  return {};
}

void Count(std::span<const EntryOutcome> outcomes, RetryReport* report) {
  for (const EntryOutcome outcome : outcomes) {
    ++report->read;
    report->archived += outcome == EntryOutcome::kArchived ? 1 : 0;
    report->known += outcome == EntryOutcome::kKnown ? 1 : 0;
    report->dead += outcome == EntryOutcome::kDead || outcome == EntryOutcome::kConflict ? 1 : 0;
  }
}

}  // namespace

Result<RetryReport> RetryDead(const ArchiveOptions& options, const std::string& where,
                              std::vector<ArchiveHandler> handlers) {
  RetryReport report;
  BatchWriter writer(options.postgres, std::move(handlers));
  RETURN_IF_ERROR(writer.Connect(options.postgres.wait_ms));
  ASSIGN_OR_RETURN(Postgres letters, Postgres::Connect(options.postgres.url, options.postgres.wait_ms));
  for (const std::string& stream : options.streams) {
    std::string after = "0";
    while (!StopRequested()) {
      ASSIGN_OR_RETURN(Page page, ReadPage(letters, stream, after, where, options.event_id_field));
      if (page.numbers.empty()) break;
      after = page.numbers.back();
      const std::vector<const ArchiveHandler*> json_handlers = writer.JsonHandlersOf(stream);
      for (ArchiveEntry& entry : page.batch.entries)
        entry.broken = FindBrokenJson(FieldsOfRaw(page.batch.Raw(entry)), json_handlers);
      writer.set_also_do(
          [&](Postgres& postgres, std::span<const EntryOutcome> outcomes, std::span<const EntryFailure> failures) {
            return NoteOutcomes(postgres, page.numbers, outcomes, failures);
          });
      const Result<Written> written = writer.Write(page.batch);
      if (!written.ok() && FaultOf(written.error()) == SqlFault::kPasses) return written.error();
      if (!written.ok()) {
        report.stopped[stream] = written.error().message;
        break;
      }
      Count(written.value().outcomes, &report);
    }
  }
  if (writer.has_score_handlers()) {
    ScoreThread scores(options.redis, options.postgres);
    scores.Start();
    ScoreThread::Summary published = scores.Finish();
    report.published = published.published;
    report.unpublished = std::move(published.left);
  }
  return report;
}

}  // namespace sprockets
