// What the searches of one run have found, kept over batches, breaks and files: a stream is read once for the doubts of
// every file that waits, and later only its new end. Ids of a stream only grow, so whatever arrives after a search lies
// above it. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "shared/redis/event.h"
#include "shared/redis/settle.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

class SpillFolder;

/// One stream as it was searched for the events of one stream, mostly itself.
struct PlaceSearch {
  Settlement wanted;
  StreamFacts facts;              // after the last page
  StreamId seen;                  // the highest id that anybody who is asked here ever saw
  int64_t files_looked_into = 0;  // the doubts of files up to this number are wanted
};

class Searches {
 public:
  static constexpr size_t kMostWanted = 256 * 1024;  // events, of one pass over a stream; bounds memory

  /// The folder must outlive it.
  explicit Searches(const SpillFolder& folder) : folder_(folder) {}

  /// Forgets everything where another life of the server begins, or where room is needed. Invalidates what In returned.
  void Prepare(const std::string& run_id) {
    size_t wanted = 0;
    for (const auto& [key, search] : searches_) wanted += search.wanted.size();
    if (run_id == run_id_ && !run_id.empty() && wanted < kMostWanted) return;
    searches_.clear();
    run_id_ = run_id;
  }
  /// The search in `place` for events that were spilled for `stream` in files with this event id field.
  PlaceSearch& In(const std::string& place, const std::string& stream, const std::string& event_id_field) {
    return searches_[{place, stream, event_id_field}];
  }
  const IdentityHasher& hasher() const { return hasher_; }
  /// Where later files lie.
  const SpillFolder& folder() const { return folder_; }

 private:
  const SpillFolder& folder_;
  IdentityHasher hasher_;
  std::string run_id_;
  std::map<std::tuple<std::string, std::string, std::string>, PlaceSearch> searches_;
};

}  // namespace sprockets
