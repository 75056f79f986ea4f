// How far Redis may be from the source, and what a rebuild would take out of an entry.
#include "replayer/structure/allowance.h"

#include <string>

#include <catch2/catch.hpp>

#include "replayer/structure/guards.h"
#include "shared/redis/resp.h"

namespace sprockets::testing {
namespace {

using Values = Structure::Values;

TEST_CASE("without a directive only the same value fits") {
  Structure structure;
  const Allowance allowance(structure);
  CHECK(allowance.IsExact());
  CHECK(allowance.Fits(50.007, 50.007));
  CHECK_FALSE(allowance.Fits(50.007, 50.007000000000005));
  CHECK(allowance.FitsText("5", "5"));
  CHECK_FALSE(allowance.FitsText("5", "5.0"));
  CHECK_FALSE(allowance.MayBeMissing(0));
  CHECK_FALSE(allowance.MayBeExtra(0));
  CHECK_FALSE(allowance.IsIgnored("__dummy__"));
}

TEST_CASE("a tolerance covers the drift of a sum, and nothing that is larger") {
  Structure structure;
  structure.tolerance = 1e-6;
  const Allowance allowance(structure);
  CHECK_FALSE(allowance.IsExact());
  CHECK(allowance.Fits(50.007, 50.007000000000005));
  CHECK(allowance.Fits(50.007, 50.0069999999));
  CHECK_FALSE(allowance.Fits(50.007, 50.008));
  CHECK_FALSE(allowance.Fits(50.007, 50.006));
  CHECK_FALSE(allowance.MayBeMissing(0));
}

TEST_CASE("a lower bound fits what is as large or larger, an upper bound what is as small or smaller") {
  Structure structure;
  structure.values = Values::kAtLeast;
  const Allowance at_least(structure);
  CHECK(at_least.Fits(5, 5));
  CHECK(at_least.Fits(5, 6));
  CHECK_FALSE(at_least.Fits(5, 4));
  CHECK(at_least.FitsText("5", "12"));
  CHECK_FALSE(at_least.FitsText("12", "5"));
  CHECK_FALSE(at_least.FitsText("5", "many"));
  CHECK_FALSE(at_least.MayBeMissing(1));
  CHECK(at_least.MayBeExtra(1));
  Structure upper = structure;
  upper.values = Values::kAtMost;
  const Allowance at_most(upper);
  CHECK(at_most.Fits(5, 4));
  CHECK_FALSE(at_most.Fits(5, 6));
  CHECK(at_most.MayBeMissing(5));
  CHECK_FALSE(at_most.MayBeExtra(5));
}

TEST_CASE("a zero may be absent where the file says so, and only a zero") {
  Structure structure;
  structure.zeros_optional = true;
  structure.tolerance = 1e-6;
  const Allowance allowance(structure);
  CHECK(allowance.MayBeMissing(0));
  CHECK(allowance.MayBeExtra(1e-9));
  CHECK_FALSE(allowance.MayBeMissing(0.001));
  CHECK_FALSE(allowance.MayBeExtra(-25));
  CHECK(Allowance(Exactly(structure)).IsExact());
}

std::string Entry(std::initializer_list<std::string_view> fields) {
  return MakeCommand(fields);
}

TEST_CASE("what a rebuild would take out of an entry is named: a field, or a member of its JSON") {
  const std::string live = Entry({"entry", R"({"id":1,"internal_data":{"a":1}})"});
  CHECK(LostField(Entry({"entry", R"({"id":1})"}), live) == "internal_data");
  CHECK_FALSE(LostField(Entry({"entry", R"({"id":2,"internal_data":{}})"}), live));
  CHECK_FALSE(LostField(live, Entry({"entry", R"({"id":1})"})));
  CHECK(LostField(Entry({"data", "x"}), Entry({"data", "x", "event_id", "e"})) == "event_id");
  CHECK_FALSE(LostField(Entry({"data", "x"}), Entry({"data", "{not JSON"})));
  CHECK_FALSE(LostField(Entry({"data", "[]"}), Entry({"data", "{\"a\":1}"})));
}

TEST_CASE("a value is lowered where the source has a smaller number") {
  CHECK(IsLowered({"k", "zset", Problem::kDifferent, "m", "4", "5"}));
  CHECK_FALSE(IsLowered({"k", "zset", Problem::kDifferent, "m", "5", "4"}));
  CHECK_FALSE(IsLowered({"k", "hash", Problem::kDifferent, "m", "a", "b"}));
  CHECK_FALSE(IsLowered({"k", "zset", Problem::kExtra, "m", std::nullopt, "4"}));
}

}  // namespace
}  // namespace sprockets::testing
