// Bytes on their way to a socket, against a plain string.
#include "sidecar/core/output_buffer.h"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

namespace sprockets {

TEST_CASE("bytes leave an output buffer in the order in which they came", "[output_buffer]") {
  std::minstd_rand random(11);
  OutputBuffer buffer;
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 2 == 0) {
      const std::string bytes(random() % 300, static_cast<char>('a' + i % 26));
      buffer.Append(bytes);
      expected += bytes;
    } else {
      const size_t taken = std::min<size_t>(expected.size(), random() % (i % 7 == 0 ? 100'000 : 400));
      buffer.Take(taken);
      expected.erase(0, taken);
    }
    REQUIRE(buffer.size() == expected.size());
    REQUIRE(buffer.empty() == expected.empty());
    REQUIRE(buffer.front() == expected);
  }
  buffer.Clear();
  CHECK(buffer.empty());
}

}  // namespace sprockets
