#include "replayer/terminal/progress.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace sprockets::testing {
namespace {

TEST_CASE("a progress line says rate and time left, and a bar never wraps") {
  CHECK(ProgressText("drain", 500, 2000, 1000) == "drain: 500 of 2 000, 500/s, 3.0s left");
  CHECK(ProgressText("drain", 500, 0, 0) == "drain: 500, 500 000/s");
  for (const size_t width : {1, 10, 80})
    CHECK(ProgressBar("drain", 5, 10, 1000, width).size() < std::max<size_t>(width, 2));
}

TEST_CASE("bars stand below each other, and one that goes leaves no line behind") {
  const std::vector<std::string> bars{"board: 5", "log: 7"};
  CHECK(RedrawText(0, std::span(bars).first(1)) == "\rboard: 5\033[J");
  CHECK(RedrawText(1, bars) == "\rboard: 5\033[K\nlog: 7\033[J");
  CHECK(RedrawText(2, bars) == "\r\033[1Aboard: 5\033[K\nlog: 7\033[J");
  CHECK(RedrawText(2, std::span(bars).last(1)) == "\r\033[1Alog: 7\033[J");
  CHECK(RedrawText(1, {}) == "\r\033[J");
}

}  // namespace
}  // namespace sprockets::testing
