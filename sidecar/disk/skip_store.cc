#include "sidecar/disk/skip_store.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr size_t kMostLines = 20;  // at once

// A line for each key that is on the list, as long as there are few.
void LogListed(std::span<const SkippedKey> keys) {
  for (const SkippedKey& each : keys.first(std::min(keys.size(), kMostLines))) {
    LogWarning("write-skipped", {{"key", each.key},
                                 {"command", each.command},
                                 {"writes", each.writes},
                                 {"way_out", "rebuild or verify --repair, with --spill-dir"}});
  }
  if (keys.size() > kMostLines) LogWarning("writes-skipped", {{"more_keys", keys.size() - kMostLines}});
}

std::string Refusal(bool in_doubt, const std::string& why) {
  std::string refusal;
  AppendError(refusal, in_doubt ? "UNKNOWN Redis may have executed this command, and " + why
                                : "RETRY Redis is away, and " + why);
  return refusal;
}

}  // namespace

struct SkipStore::Job {
  uv_work_t request{};
  SkipStore* store = nullptr;
  std::vector<SkippedKey> skipped;
  std::vector<Answer> answers;
  Result<SkippedWrites::Added> added = SkippedWrites::Added();
  std::optional<Result<std::vector<SkippedKey>>> list;  // asked for
};

SkipStore::~SkipStore() {
  SPROCKETS_ASSERT(idle());
}

void SkipStore::LookNow() {
  TakeList(file_.List());
  LogListed(list_);
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
    ++skipped_;
    gathered.last_ms = now_ms;
    gathered.command = skipped.name;
  }
  answers_.push_back({to, std::move(skipped)});
}

void SkipStore::Submit() {
  if (busy_ || (answers_.empty() && !looks_)) return;
  busy_ = true;
  auto* job = new Job;
  job->request.data = job;
  job->store = this;
  for (auto& [key, skipped] : std::exchange(gathered_, {})) job->skipped.push_back(std::move(skipped));
  job->answers = std::exchange(answers_, {});
  if (std::exchange(looks_, false)) job->list.emplace(std::vector<SkippedKey>());
  const auto work = [](uv_work_t* request) {
    auto& mine = *static_cast<Job*>(request->data);
    if (!mine.skipped.empty()) mine.added = mine.store->file_.Add(mine.skipped);
    if (mine.list) mine.list = mine.store->file_.List();
  };
  const auto done = [](uv_work_t* request, int) {
    const std::unique_ptr<Job> mine(static_cast<Job*>(request->data));
    mine->store->OnDone(*mine);
  };
  SPROCKETS_ASSERT(uv_queue_work(loop_, &job->request, work, done) == 0);
}

void SkipStore::OnDone(Job& job) {
  busy_ = false;
  TakeAdded(job);
  if (job.list) {
    TakeList(*std::move(job.list));
    if (on_looked_) on_looked_();
  }
  Submit();
}

void SkipStore::TakeAdded(const Job& job) {
  std::string why;
  if (!job.added.ok()) {
    why = "the skipped write cannot be remembered: " + Escape(job.added.error().message);
    LogError("skipped-not-remembered", {{"why", job.added.error().message}});
  }
  const SkippedWrites::Added added = job.added.ok() ? job.added.value() : SkippedWrites::Added();
  const std::set<std::string_view> fresh(added.fresh.begin(), added.fresh.end());
  const std::set<std::string_view> refused(added.refused.begin(), added.refused.end());
  listed_since_ += fresh.size();
  std::vector<SkippedKey> listed;
  std::copy_if(job.skipped.begin(), job.skipped.end(), std::back_inserter(listed),
               [&](const SkippedKey& each) { return fresh.contains(each.key); });
  LogListed(listed);
  if (!refused.empty()) {
    why = "writes to " + FormatCount(SkippedWrites::kMostKeys) + " keys were skipped: no more are listed";
    LogError("skipped-list-full", {{"keys", SkippedWrites::kMostKeys}, {"refused_keys", refused.size()}});
  }
  const auto is_refused = [&](const std::string& key) { return refused.contains(key); };
  for (const auto& [to, skipped] : job.answers) {
    const bool listed_all = job.added.ok() && std::none_of(skipped.keys.begin(), skipped.keys.end(), is_refused);
    if (to.asker != nullptr) to.Reply(listed_all ? skipped.answer : Refusal(skipped.in_doubt, why));
  }
}

void SkipStore::TakeList(Result<std::vector<SkippedKey>> list) {
  error_ = list.ok() ? "" : list.error().message;
  if (!list.ok()) return;
  list_ = std::move(list).value();
  listed_since_ = 0;
}

}  // namespace sprockets
