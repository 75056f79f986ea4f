// What must stand in the streams when everything that `--ack disk` acknowledged has landed: exactly what was not
// trimmed or deleted on purpose, under the ids that clients were told, in order; and where others write too, what they
// have overtaken under other ids.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/harness/ledger.h"
#include "tests/harness/resp_client.h"

namespace sprockets::soak {

/// What is done to a stream beside adding our events.
struct StreamUse {
  size_t most = 0;                             // MAXLEN of every XADD; 0: none
  std::vector<std::string> xadd_options = {};  // the same, as a client says it
  bool others_write = false;
  bool entries_are_removed = false;  // XTRIM, XDEL, by an operator
  bool is_deleted = false;           // DEL, by an operator
};
/// Each stream of the sample events is used in its own way.
const std::map<std::string, StreamUse>& StreamUses();

/// An entry of a second writer has this name for its only field.
inline constexpr char kOfAnother[] = "another";

/// What the sidecar's log says of a stream, in all of its lives.
struct Decided {
  size_t overtaken = 0;
  size_t without_proof = 0;
};

struct AheadComparison {
  size_t acknowledged = 0;
  size_t stored = 0;   // entries of ours
  size_t lost = 0;     // acknowledged, missing, and nobody has removed it
  size_t doubled = 0;  // entries beyond an event's first
  size_t refused = 0;
  size_t removed = 0;   // missing on purpose
  size_t moved = 0;     // under another id than the client was told, because of another writer
  size_t excused = 0;   // missing or doubled, and told as without proof
  size_t in_order = 0;  // entries whose place was compared
  std::vector<std::string> differences;
  size_t difference_count = 0;

  void Differs(const std::string& what);
  std::string ToString() const;
};

/// `removed`: what an operator has ever taken out of a stream, by Ledger::KeyOf.
AheadComparison CompareAhead(const harness::Ledger& ledger, harness::RespClient& redis,
                             const std::set<std::string>& removed, const std::map<std::string, Decided>& decided);

}  // namespace sprockets::soak
