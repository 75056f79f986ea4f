// The decisions of settling. See settle.h for the whole procedure.
#include "shared/settle.h"

#include <algorithm>

namespace sprockets {
namespace {

/// A stream whose last id is below the anchor is not the stream that the anchor was seen in: it began again.
StreamId EffectiveAnchor(StreamId anchor, const StreamFacts& facts) {
  return !facts.exists || facts.last_id < anchor ? kStreamBegin : anchor;
}

}  // namespace

std::vector<ConnectionId> ConnectionsToFence(const std::vector<ConnectionId>& listed, const std::string& run_id,
                                             const ConnectionId& self) {
  std::vector<ConnectionId> targets;
  for (const ConnectionId& connection : listed) {
    if (!run_id.empty() && connection.run_id == run_id && connection != self) targets.push_back(connection);
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

std::vector<ConnectionId> ConnectionsOfUnknownLife(const std::vector<ConnectionId>& listed, const std::string& run_id,
                                                   const ConnectionId& self) {
  std::vector<ConnectionId> unknown;
  for (const ConnectionId& connection : listed) {
    if ((run_id.empty() || connection.run_id.empty()) && connection != self) unknown.push_back(connection);
  }
  return unknown;
}

StreamId SearchFrom(StreamId anchor, bool run_id_changed, const StreamFacts& facts) {
  return run_id_changed ? kStreamBegin : EffectiveAnchor(anchor, facts);
}

bool AbsenceIsProof(StreamId anchor, const StreamFacts& facts, const FenceState& fence) {
  if (!fence.complete || !facts.complete) return false;
  const StreamId effective = EffectiveAnchor(anchor, facts);
  // Trimming takes from the front: while an entry at or before the anchor is there, nothing behind the anchor was
  // trimmed.
  const bool nothing_trimmed = (facts.length > 0 && facts.first_id <= effective) || facts.entries_added == facts.length;
  return nothing_trimmed && facts.max_deleted_id <= effective;
}

void Settlement::Want(const EventIdentity& identity) {
  if (found_.try_emplace(identity, false).second) ++missing_;
}

void Settlement::SawEntry(const EventIdentity& identity) {
  const auto wanted = found_.find(identity);
  if (wanted == found_.end() || wanted->second) return;
  wanted->second = true;
  --missing_;
}

void Settlement::Landed(const EventIdentity& identity) {
  SawEntry(identity);
}

Settlement::Verdict Settlement::Judge(const EventIdentity& identity) const {
  const auto wanted = found_.find(identity);
  SPROCKETS_ASSERT(wanted != found_.end());
  return wanted->second ? Verdict::kFound : Verdict::kMissing;
}

}  // namespace sprockets
