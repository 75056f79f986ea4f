// The keys that a rebuild writes beside the live ones: their names, where these are noted, and how they go again.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "replayer/redis/pipeline.h"
#include "replayer/structure/loader.h"
#include "shared/base/result.h"

namespace sprockets {

/// One rebuild's. Every name is noted in a set of Redis before its key is written, so that the next run finds what a
/// killed one has left.
class ScratchKeys {
 public:
  /// `into`: a drill's prefix of the new keys; none: one of our own.
  explicit ScratchKeys(const std::optional<std::string>& into);

  /// The set that names all of them.
  static std::string_view registry();
  /// What the names of the new keys begin with.
  const std::string& prefix() const { return prefix_; }
  /// Where the live key waits while the new one takes its place.
  std::string AsideOf(const std::string& key) const;

  /// Before anything is put aside: the names that it will have there.
  Status AddNote(Pipeline& pipeline, std::span<const Loader::Key> keys) const;
  /// Behind a swap, or instead of one: what is aside goes back if its place is empty.
  Status AddPutBack(Pipeline& pipeline, const Loader::Key& key) const;
  /// Then what is aside yet is freed, and the names are forgotten.
  Status AddCleanUp(Pipeline& pipeline, std::span<const Loader::Key> keys) const;
  /// Of a run that was killed. Keys that were aside go back where their place is empty.
  static Status RemoveLeftovers(RedisClient& redis);

 private:
  const std::string number_;  // random: no two runs have the same names
  const std::string prefix_;
};

}  // namespace sprockets
