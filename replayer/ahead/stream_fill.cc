#include "replayer/ahead/stream_fill.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "replayer/redis/answer.h"
#include "replayer/redis/pipeline.h"
#include "replayer/terminal/stop.h"
#include "shared/ahead/placing.h"
#include "shared/base/backoff.h"
#include "shared/base/clock.h"
#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

constexpr int64_t kFillPatienceMs = 10'000;  // with a Redis that takes nothing, or a file that cannot be opened now
constexpr int64_t kTryAgainMs = 200;
constexpr std::string_view kTooLow = "ERR The ID specified in XADD is equal or smaller";
constexpr std::string_view kNotGoneOn =
    "other writers' entries lie above the missing ones: a sidecar with --ack disk, or drain, gives these new ids; "
    "--force "
    "adds what is above";

Error Stopped() {
  return {ErrorCode::kStopped, "stopped"};
}

}  // namespace

Status StreamFill::Run(const std::function<Status()>& on_rows) {
  RETURN_IF_ERROR(ReadTop());
  if (!filled_.why.empty()) return {};
  RETURN_IF_ERROR(ReadPage());
  while (page_) {
    if (StopRequested()) return Stopped();
    JournalPage page = *std::exchange(page_, std::nullopt);
    if (!page.rows.empty()) read_to_ = page.rows.back().id;
    more_ = !page.is_last;
    std::erase_if(page.rows, [this](const JournalRow& row) { return !IsCurrent(row, source_.current); });
    filled_.rows += page.rows.size();
    const auto above = std::partition_point(page.rows.begin(), page.rows.end(),
                                            [this](const JournalRow& row) { return row.id <= top_; });
    RETURN_IF_ERROR(LookUp({page.rows.begin(), above}));
    const Rows rest(above, page.rows.end());
    // A sidecar would take what we add for a proof that all below has landed.
    if (filled_.missing > 0 && !top_is_ours_ && !options_.force && !rest.empty()) {
      filled_.why = kNotGoneOn;
      return {};
    }
    if (rest.empty() || options_.dry_run) {
      filled_.added += rest.size();
    } else {
      RETURN_IF_ERROR(Add(rest));
      if (!filled_.why.empty()) return {};
    }
    if (more_ && !page_) RETURN_IF_ERROR(ReadPage());
    RETURN_IF_ERROR(on_rows());
  }
  return {};
}

Status StreamFill::ReadTop() {
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Call({"XINFO", "STREAM", filled_.name}));
  const RedisAnswer answer = AnswerOf(*reply);
  const auto facts = StreamInfo::In(answer);
  if (facts) {
    top_ = facts->top;
    top_is_ours_ = top_ == kStreamBegin || IsOurs(top_, source_.tags);
    return {};
  }
  if (!answer.is_error()) return Error{ErrorCode::kRefused, "what Redis answers to XINFO STREAM is not understood"};
  if (ClassifyRedisError(answer.text) != RefusalScope::kStream) return RefuseError(*reply);
  filled_.why = answer.text;
  return {};
}

/// The next one, if there is one.
Status StreamFill::ReadPage() {
  const JournalRead read{filled_.name, 0, /*down=*/false, read_to_, source_.committed};
  const int64_t until = SteadyClockMs() + kFillPatienceMs;
  while (!(page_ = source_.pages.Read(read))) {
    if (SteadyClockMs() > until)
      return Error{ErrorCode::kBusy, "a journal cannot be opened now: the log says which, and why"};
    if (!SleepUnlessStopped(kTryAgainMs)) return Stopped();
  }
  if (page_->rows.empty() && page_->is_last) page_.reset();
  return {};
}

Status StreamFill::LookUp(Rows rows) {
  if (rows.empty()) return {};
  std::string commands;
  for (const JournalRow& row : rows) {
    const std::string id = ToString(row.id);
    commands += MakeCommand({"XRANGE", filled_.name, id, id});
  }
  redis_.Queue(commands);
  Status refused;
  for (const JournalRow& row : rows) {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Receive());
    if (IsError(*reply)) refused = RefuseError(*reply);
    if (Holds(AnswerOf(*reply), row)) {
      ++filled_.there;
    } else {
      Miss(row);
    }
  }
  return refused;
}

/// Again and again while Redis takes nothing.
Status StreamFill::Add(Rows rows) {
  const int64_t until = SteadyClockMs() + kFillPatienceMs;
  std::minstd_rand random(std::random_device{}());
  Backoff backoff(50, 2'000);
  while (true) {
    const Result<bool> added = AddOnce(rows);
    if (added.ok()) return {};
    if (added.error().code != ErrorCode::kBusy || SteadyClockMs() > until) return added.error();
    if (!SleepUnlessStopped(backoff.NextMs(random()))) return Stopped();
  }
}

/// One transaction, so that no row is added behind one that Redis refuses for a moment.
Result<bool> StreamFill::AddOnce(Rows rows) {
  std::string commands = MakeCommand({"MULTI"});
  for (const JournalRow& row : rows) commands += row.xadd;
  commands += MakeCommand({"EXEC"});
  redis_.Queue(commands);
  redis_.Pump();
  // Meanwhile the next page is read.
  const Status read = more_ && !page_ ? ReadPage() : Status();
  Status refused;
  for (size_t i = 0; i <= rows.size(); ++i) {
    ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis_.Receive());
    if (!IsError(*reply) || !refused.ok() || !filled_.why.empty()) continue;
    if (ClassifyRedisError(TextOf(*reply)) == RefusalScope::kStream && i > 0) {
      filled_.why = TextOf(*reply);
    } else {
      refused = RefuseError(*reply);
    }
  }
  ASSIGN_OR_RETURN(const RedisClient::Reply exec, redis_.Receive());
  RETURN_IF_ERROR(refused);
  if (!filled_.why.empty()) return true;
  RETURN_IF_ERROR(TakeResults(rows, exec));
  RETURN_IF_ERROR(read);
  return true;
}

Status StreamFill::TakeResults(Rows rows, const RedisClient::Reply& exec) {
  RETURN_IF_ERROR(RefuseError(*exec));
  const RedisAnswer results = AnswerOf(*exec);
  if (results.elements.size() != rows.size())
    return Error{ErrorCode::kRefused, "what Redis answers to EXEC is not understood"};
  std::vector<JournalRow> too_low;
  for (size_t i = 0; i < rows.size(); ++i) {
    const RedisAnswer& result = results.elements[i];
    if (!result.is_error()) {
      ++filled_.added;
    } else if (result.text.starts_with(kTooLow)) {
      too_low.push_back(rows[i]);  // somebody else has added it meanwhile, or overtaken it
    } else if (ClassifyRedisError(result.text) == RefusalScope::kStream) {
      filled_.why = result.text;
      return {};
    } else {
      Miss(rows[i]);
    }
  }
  top_is_ours_ = top_is_ours_ && too_low.empty();
  return LookUp(too_low);
}

void StreamFill::Miss(const JournalRow& row) {
  if (filled_.missing++ == 0) filled_.first_missing = row.id;
}

}  // namespace sprockets
