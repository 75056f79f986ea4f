// The list of keys to which writes were skipped: what is on it, and what comes off it.
#include "shared/spill/skipped_writes.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/shared/spill/fixture.h"

using namespace sprockets;
using namespace sprockets::testing;

namespace {

SkippedKey Skipped(const std::string& key, int64_t writes, int64_t at_ms) {
  return {key, writes, at_ms, at_ms, "zincrby"};
}

}  // namespace

TEST_CASE("writes to a key are added up, those that were skipped first come first, and a folder without is empty") {
  const TemporaryFolder folder;
  const SkippedWrites file(folder.path());
  CHECK(Must(file.List()).empty());
  CHECK_FALSE(std::filesystem::exists(folder.path() / SkippedWrites::kFileName));
  const std::string strange("\0\xff\"'; DROP TABLE skipped", 25);
  Must(file.Add(std::vector{Skipped("b", 2, 20), Skipped(strange, 1, 10)}));
  Must(file.Add(std::vector{Skipped("b", 3, 50), Skipped("a", 1, 40)}));
  const std::vector<SkippedKey> keys = Must(SkippedWrites(folder.path()).List());
  REQUIRE(keys.size() == 3);
  CHECK(keys[0].key == strange);
  CHECK(keys[1].key == "b");
  CHECK(keys[1].writes == 5);
  CHECK(keys[1].first_ms == 20);
  CHECK(keys[1].last_ms == 50);
  CHECK(keys[2].key == "a");
  CHECK(Describe(keys[1], 5'020) == "b: 5 writes skipped, the first 5.0s ago");
}

TEST_CASE("what is restored comes off the list, and what was skipped since it was looked at stays") {
  const TemporaryFolder folder;
  const SkippedWrites file(folder.path());
  Must(file.StrikeOff({}));
  Must(file.Add(std::vector{Skipped("a", 5, 10), Skipped("b", 5, 10), Skipped("c", 5, 10)}));
  std::vector<SkippedKey> seen = Must(file.List());
  seen.pop_back();
  Must(file.Add(std::vector{Skipped("b", 4, 99)}));
  Must(file.StrikeOff(seen));
  const std::vector<SkippedKey> left = Must(file.List());
  REQUIRE(left.size() == 2);
  CHECK(left[0].key == "c");
  CHECK(left[0].writes == 5);
  CHECK(left[1].key == "b");
  CHECK(left[1].writes == 4);
  // Once more: nothing of what is left is taken for what was restored before.
  Must(file.StrikeOff(std::vector{seen[0]}));
  CHECK(Must(file.List()).size() == 2);
}

TEST_CASE("what was skipped after somebody else struck a key off is not taken for what that one restored") {
  const TemporaryFolder folder;
  const SkippedWrites file(folder.path());
  Must(file.Add(std::vector{Skipped("a", 3, 10)}));
  const std::vector<SkippedKey> seen = Must(file.List());
  Must(file.StrikeOff(seen));
  Must(file.Add(std::vector{Skipped("a", 1, 20)}));
  Must(file.StrikeOff(seen));
  CHECK(Must(file.List()).size() == 1);
}

TEST_CASE("a file that was never committed to is no list") {
  const TemporaryFolder folder;
  WriteBytes(folder.path() / SkippedWrites::kFileName, "");
  const SkippedWrites file(folder.path());
  CHECK(Must(file.List()).empty());
  Must(file.Add(std::vector{Skipped("a", 1, 1)}));
  CHECK(Must(file.List()).size() == 1);
}

TEST_CASE("beyond the limit no key is added, and those that are listed still count") {
  const TemporaryFolder folder;
  const SkippedWrites file(folder.path());
  std::vector<SkippedKey> many;
  for (int64_t i = 1; i < SkippedWrites::kMostKeys; ++i) many.push_back(Skipped("k" + std::to_string(i), 1, 1));
  CHECK(Must(file.Add(many)).fresh.size() == many.size());
  const SkippedWrites::Added added =
      Must(file.Add(std::vector{Skipped("k1", 1, 2), Skipped("last", 1, 2), Skipped("one more", 1, 2)}));
  CHECK(added.fresh == std::vector<std::string>{"last"});
  CHECK(added.refused == std::vector<std::string>{"one more"});
  const std::vector<SkippedKey> keys = Must(file.List());
  CHECK(keys.size() == static_cast<size_t>(SkippedWrites::kMostKeys));
  CHECK(keys[0].key == "k1");
  CHECK(keys[0].writes == 2);
  CHECK(keys.back().key == "last");
}

TEST_CASE("a list that cannot be read is said, and never taken for an empty one") {
  const TemporaryFolder folder;
  WriteBytes(folder.path() / SkippedWrites::kFileName, std::string(8192, 'x'));
  const SkippedWrites file(folder.path());
  CHECK(file.List().error().code == ErrorCode::kCorrupt);
  const auto added = file.Add(std::vector{Skipped("a", 1, 1)});
  CHECK(added.error().code == ErrorCode::kCorrupt);
  CHECK(added.error().message.find("rebuild every key") != std::string::npos);
}
