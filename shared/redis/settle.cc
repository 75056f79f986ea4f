// The decisions of settling. See settle.h for the whole procedure.
#include "shared/redis/settle.h"

#include <algorithm>

namespace sprockets {

StreamId SearchFrom(StreamId anchor, bool run_id_changed, const StreamFacts& facts) {
  const bool began_again = !facts.exists || facts.last_id < anchor;
  return run_id_changed || began_again ? kStreamBegin : anchor;
}

bool AbsenceIsProof(StreamId anchor, const StreamFacts& facts, const FenceState& fence, StreamId seen) {
  seen = std::max(seen, anchor);
  if (!fence.complete || !facts.complete) return false;
  if (facts.max_deleted_id > anchor || facts.last_id < seen) return false;
  const auto reaches_back_to = [&](StreamId id) { return facts.length > 0 && facts.first_id <= id; };
  if (anchor != kStreamBegin) return reaches_back_to(anchor);
  return facts.entries_added == facts.length && (seen == kStreamBegin || reaches_back_to(seen));
}

void Settlement::Want(const EventIdentity& identity, StreamId from) {
  const auto [wanted, is_new] = wanted_.try_emplace(identity, Wanted{from});
  if (is_new) {
    ++missing_;
  } else if (wanted->second.found || wanted->second.from <= from) {
    return;
  }
  wanted->second.from = from;
  begin_ = std::min(begin_.value_or(from), from);
}

void Settlement::SawEntry(const EventIdentity& identity) {
  const auto wanted = wanted_.find(identity);
  if (wanted == wanted_.end() || wanted->second.found) return;
  wanted->second.found = true;
  --missing_;
}

void Settlement::Searched(StreamId bound) {
  begin_ = bound_ = bound;
}

void Settlement::Landed(const EventIdentity& identity) {
  SawEntry(identity);
}

Settlement::Verdict Settlement::Judge(const EventIdentity& identity) const {
  const auto wanted = wanted_.find(identity);
  SPROCKETS_ASSERT(wanted != wanted_.end());
  return wanted->second.found ? Verdict::kFound : Verdict::kMissing;
}

}  // namespace sprockets
