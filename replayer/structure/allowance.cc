#include "replayer/structure/allowance.h"

#include <algorithm>
#include <cmath>

#include "shared/base/text.h"

namespace sprockets {

using Values = Structure::Values;

Structure Exactly(Structure structure) {
  structure.tolerance = 0;
  structure.values = Values::kExact;
  structure.ignored_members.clear();
  structure.zeros_optional = false;
  structure.unused_keys_allowed = false;
  structure.trimmed_allowed = false;
  structure.up_to.reset();
  return structure;
}

bool Allowance::IsExact() const {
  return structure_.tolerance == 0 && structure_.values == Values::kExact && !structure_.zeros_optional &&
         structure_.ignored_members.empty();
}

bool Allowance::IsIgnored(std::string_view member) const {
  const auto& ignored = structure_.ignored_members;
  return std::find(ignored.begin(), ignored.end(), member) != ignored.end();
}

bool Allowance::Fits(double source, double live) const {
  switch (structure_.values) {
    case Values::kExact:
      return std::abs(live - source) <= structure_.tolerance;
    case Values::kAtLeast:
      return live >= source - structure_.tolerance;
    case Values::kAtMost:
      return live <= source + structure_.tolerance;
  }
  return false;
}

bool Allowance::FitsText(std::string_view source, std::string_view live) const {
  if (source == live) return true;
  if (structure_.values == Values::kExact) return false;
  const auto source_value = ParseNumber(source);
  const auto live_value = ParseNumber(live);
  return source_value && live_value && Fits(*source_value, *live_value);
}

bool Allowance::MayBeMissing(double source) const {
  return structure_.values == Values::kAtMost || (structure_.zeros_optional && IsZero(source));
}

bool Allowance::MayBeExtra(double live) const {
  return structure_.values == Values::kAtLeast || (structure_.zeros_optional && IsZero(live));
}

bool Allowance::IsZero(double value) const {
  return std::abs(value) <= structure_.tolerance;
}

}  // namespace sprockets
