#include "shared/spill/skipped_key.h"

#include <algorithm>

#include "shared/base/text.h"

namespace sprockets {

std::string Describe(const SkippedKey& skipped, int64_t now_ms) {
  return Escape(skipped.key) + ": " + FormatCount(static_cast<uint64_t>(skipped.writes)) +
         (skipped.writes == 1 ? " write" : " writes") + " skipped, the first " +
         FormatDuration(std::max<int64_t>(now_ms - skipped.first_ms, 0)) + " ago";
}

}  // namespace sprockets
