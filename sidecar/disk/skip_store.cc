#include "sidecar/disk/skip_store.h"

#include <memory>
#include <set>
#include <utility>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr size_t kMostLines = 20;  // at once

}  // namespace

struct SkipStore::Job {
  uv_work_t request{};
  SkipStore* store = nullptr;
  std::vector<SkippedKey> skipped;
  std::vector<Answer> answers;
  Status added;
  Result<std::vector<SkippedKey>> list = std::vector<SkippedKey>();
};

SkipStore::~SkipStore() {
  SPROCKETS_ASSERT(idle());
}

void SkipStore::Remember(ReplyTo to, SkippedCommand skipped) {
  // A look, or a refusal: there is nothing to remember.
  if (skipped.keys.empty()) {
    if (to.asker != nullptr) to.Reply(skipped.answer);
    return;
  }
  const int64_t now_ms = clock_->Wall().ms;
  for (const std::string& key : skipped.keys) {
    SkippedKey& gathered = gathered_.try_emplace(key, SkippedKey{key, 0, now_ms, now_ms, ""}).first->second;
    ++gathered.writes;
    gathered.last_ms = now_ms;
    gathered.command = skipped.name;
  }
  answers_.push_back({to, std::move(skipped.answer)});
}

void SkipStore::Submit() {
  if (busy_ || (answers_.empty() && !looks_)) return;
  busy_ = true;
  looks_ = false;
  auto* job = new Job;
  job->request.data = job;
  job->store = this;
  for (auto& [key, skipped] : std::exchange(gathered_, {})) job->skipped.push_back(std::move(skipped));
  job->answers = std::exchange(answers_, {});
  const auto work = [](uv_work_t* request) {
    auto& mine = *static_cast<Job*>(request->data);
    if (!mine.skipped.empty()) mine.added = mine.store->file_.Add(mine.skipped);
    mine.list = mine.store->file_.List();
  };
  const auto done = [](uv_work_t* request, int) {
    const std::unique_ptr<Job> mine(static_cast<Job*>(request->data));
    mine->store->OnDone(*mine);
  };
  SPROCKETS_ASSERT(uv_queue_work(loop_, &job->request, work, done) == 0);
}

void SkipStore::OnDone(Job& job) {
  busy_ = false;
  std::string refusal;
  if (!job.added.ok()) {
    AppendError(refusal, "RETRY Redis is away, and the skipped write cannot be remembered: " +
                             Escape(job.added.error().message));
    LogError("skipped-not-remembered", {{"why", job.added.error().message}});
  }
  Took(std::move(job.list));
  for (const Answer& answer : job.answers) {
    if (answer.to.asker != nullptr) answer.to.Reply(refusal.empty() ? answer.resp : refusal);
  }
  if (on_looked_) on_looked_();
  Submit();
}

// A line for each key that comes onto the list, as long as there are few.
void SkipStore::Took(Result<std::vector<SkippedKey>> list) {
  error_ = list.ok() ? "" : list.error().message;
  if (!list.ok()) return;
  std::set<std::string> before;
  for (SkippedKey& each : list_) before.insert(std::move(each.key));
  list_ = std::move(list).value();
  size_t lines = 0;
  for (const SkippedKey& each : list_) {
    if (before.contains(each.key) || ++lines > kMostLines) continue;
    LogWarning("write-skipped", {{"key", each.key},
                                 {"command", each.command},
                                 {"writes", each.writes},
                                 {"way_out", "rebuild or verify --repair, with --spill-dir"}});
  }
  if (lines > kMostLines) LogWarning("writes-skipped", {{"more_keys", lines - kMostLines}});
}

}  // namespace sprockets
