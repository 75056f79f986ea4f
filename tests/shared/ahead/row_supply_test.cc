// Which rows come next, while memory forgets some, pages arrive late and rows are moved.
#include "shared/ahead/row_supply.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

JournalRow Row(uint64_t ms, int64_t ticket = 0, int64_t origin = 0) {
  if (ticket == 0) ticket = static_cast<int64_t>(ms);
  return {ticket, origin == 0 ? ticket : origin, {ms, 65536}, "XADD", 2};
}

JournalPage Page(std::vector<uint64_t> ms, bool is_last) {
  JournalPage page{1, {}, is_last};
  for (const uint64_t each : ms) page.rows.push_back(Row(each));
  return page;
}

std::vector<uint64_t> InMemory(const RowSupply& supply) {
  std::vector<uint64_t> ms;
  for (size_t i = 0; supply.Next(i) != nullptr; ++i) ms.push_back(supply.Next(i)->id.ms);
  return ms;
}

TEST_CASE("rows that were committed come in order, until they have landed") {
  RowSupply supply{kStreamBegin};
  for (const uint64_t ms : {1, 2, 3}) supply.Add(Row(ms));
  CHECK(InMemory(supply) == std::vector<uint64_t>{1, 2, 3});
  CHECK(!supply.needs_page());
  supply.Pass({2, 65536});
  CHECK(InMemory(supply) == std::vector<uint64_t>{3});
  supply.Pass({3, 65536});
  CHECK(supply.bytes() == 0);
  CHECK(!supply.needs_page());
}

TEST_CASE("what memory has forgotten is read from the journal before what is fresh") {
  RowSupply supply{kStreamBegin};
  for (const uint64_t ms : {1, 2, 3}) supply.Add(Row(ms));
  supply.ForgetFresh();
  supply.Add(Row(4));
  CHECK(InMemory(supply).empty());
  REQUIRE(supply.needs_page());
  CHECK(supply.page_from() == kStreamBegin);
  CHECK(supply.page_to() == StreamId{3, 65536});
  const StreamId asked_to = supply.page_to();
  SECTION("in pages") {
    supply.AddPage(Page({1, 2}, false), asked_to, {});
    CHECK(InMemory(supply) == std::vector<uint64_t>{1, 2});
    supply.Pass({2, 65536});
    REQUIRE(supply.needs_page());
    supply.AddPage(Page({3}, true), asked_to, {});
    CHECK(InMemory(supply) == std::vector<uint64_t>{3, 4});
  }
  SECTION("and what is forgotten meanwhile by another page") {
    supply.Add(Row(5));
    supply.ForgetFresh();
    supply.AddPage(Page({1, 2, 3}, true), asked_to, {});
    CHECK(InMemory(supply) == std::vector<uint64_t>{1, 2, 3});
    supply.Pass({3, 65536});
    CHECK(supply.needs_page());
    CHECK(supply.page_from() == StreamId{3, 65536});
  }
}

TEST_CASE("what has landed and was lost is read again") {
  RowSupply supply{kStreamBegin};
  for (const uint64_t ms : {1, 2, 3}) supply.Add(Row(ms));
  supply.Pass({2, 65536});
  supply.GoBack(kStreamBegin);
  CHECK(InMemory(supply).empty());
  REQUIRE(supply.needs_page());
  CHECK(supply.page_to() == StreamId{2, 65536});
  supply.AddPage(Page({1, 2}, true), supply.page_to(), {});
  CHECK(InMemory(supply) == std::vector<uint64_t>{1, 2, 3});
}

TEST_CASE("a row that was moved is not sent under its old id") {
  RowSupply supply{kStreamBegin};
  for (const uint64_t ms : {1, 2}) supply.Add(Row(ms));
  const MovedRows moved = {{1, 9}};
  supply.DropMoved(moved);
  supply.Add(Row(3, /*ticket=*/9, /*origin=*/1));
  CHECK(InMemory(supply) == std::vector<uint64_t>{2, 3});
  supply.Pass({3, 65536});
  supply.GoBack(kStreamBegin);
  JournalPage page = Page({1, 2}, true);
  page.rows.push_back(Row(3, 9, 1));
  supply.AddPage(std::move(page), supply.page_to(), moved);
  CHECK(InMemory(supply) == std::vector<uint64_t>{2, 3});
}

}  // namespace
}  // namespace sprockets
