// Finds the entries of a batch that PostgreSQL does not take, by halves: the others go through, in their order. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace sprockets {

/// `while (auto range = bisection.Next()) bisection.Take(whether the range went through);`
class Bisection {
 public:
  struct Range {
    size_t begin = 0;
    size_t end = 0;  // behind it
    bool operator==(const Range&) const = default;
  };

  /// The whole of [0, size) has failed already where `has_failed`.
  Bisection(size_t size, bool has_failed);

  /// What to try next; none: all is decided. The same until Take.
  std::optional<Range> Next() const;
  /// Did it go through? One that fails is halved; a single one is `poison`.
  void Take(bool went_through);

  const std::vector<size_t>& poison() const { return poison_; }

 private:
  void Fail(Range range);

  std::vector<Range> waiting_;  // the next one last
  std::vector<size_t> poison_;
};

}  // namespace sprockets
