// How far Redis may be from the source and still be right: what a set's file says of its values. Pure.
#pragma once

#include <string_view>

#include "replayer/schema_set/schema_set.h"

namespace sprockets {

/// The same structure, and Redis must hold what the source gives: nothing is allowed.
Structure Exactly(Structure structure);

class Allowance {
 public:
  /// The structure outlives this.
  explicit Allowance(const Structure& structure) : structure_(structure) {}

  /// Must Redis hold what the source gives, no more and no less?
  bool IsExact() const;
  /// `-- ignore-members:`: nobody asks whether they are there, and with which value.
  bool IsIgnored(std::string_view member) const;

  /// Is `live` right where the source has `source`?
  bool Fits(double source, double live) const;
  /// The same for the value of a hash. A value that has to be a number and is none does not fit.
  bool FitsText(std::string_view source, std::string_view live) const;
  /// May Redis lack a member that the source gives with this value?
  bool MayBeMissing(double source) const;
  /// May Redis have a member, with this value, that the source does not give?
  bool MayBeExtra(double live) const;

 private:
  bool IsZero(double value) const;

  const Structure& structure_;
};

}  // namespace sprockets
