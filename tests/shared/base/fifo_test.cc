// A queue in a ring, against std::deque.
#include "shared/base/fifo.h"

#include <deque>
#include <memory>
#include <random>

#include <catch2/catch.hpp>

namespace sprockets {

TEST_CASE("a fifo holds what a deque holds", "[fifo]") {
  std::minstd_rand random(7);
  Fifo<std::unique_ptr<unsigned>, 16> fifo;
  std::deque<unsigned> expected;
  for (unsigned i = 0; i < 20'000; ++i) {
    // It grows and shrinks in turns of a thousand.
    if (random() % 10 < (i / 1000 % 2 == 0 ? 6U : 4U)) {
      fifo.push_back(std::make_unique<unsigned>(i));
      expected.push_back(i);
    } else if (!expected.empty()) {
      REQUIRE(*fifo.pop_front() == expected.front());
      expected.pop_front();
    }
    REQUIRE(fifo.size() == expected.size());
    REQUIRE(fifo.empty() == expected.empty());
    if (expected.empty()) continue;
    REQUIRE(*fifo.front() == expected.front());
    REQUIRE(*fifo.back() == expected.back());
    const size_t middle = expected.size() / 2;
    REQUIRE(*fifo[middle] == expected[middle]);
  }
  fifo.clear();
  CHECK(fifo.empty());
}

TEST_CASE("what has left a fifo is let go at once", "[fifo]") {
  Fifo<std::shared_ptr<int>, 4> fifo;
  const auto item = std::make_shared<int>(1);
  fifo.push_back(item);
  fifo.push_back(item);
  CHECK(item.use_count() == 3);
  fifo.pop_front();
  CHECK(item.use_count() == 2);
  fifo.clear();
  CHECK(item.use_count() == 1);
}

}  // namespace sprockets
