// What clients may hold in memory together.
#include "sidecar/door/clients.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

TEST_CASE("of clients that together hold too much, one at a time goes on until its command is done") {
  // Only who they are counts.
  const auto* const one = reinterpret_cast<const Connection*>(0x10);
  const auto* const other = reinterpret_cast<const Connection*>(0x20);
  BufferBudget budget(100);
  budget.Changed(100);
  CHECK(budget.MayGoOn(one));
  CHECK(budget.MayGoOn(other));

  budget.Changed(1);
  CHECK(budget.MayGoOn(other));
  CHECK_FALSE(budget.MayGoOn(one));
  budget.Done(one);  // it was not the one
  CHECK_FALSE(budget.MayGoOn(one));
  budget.Done(other);
  CHECK(budget.MayGoOn(one));
  CHECK_FALSE(budget.MayGoOn(other));

  budget.Changed(-1);
  CHECK(budget.MayGoOn(other));
}

}  // namespace
}  // namespace sprockets
