#include "replayer/drain/report.h"

#include <catch2/catch.hpp>

namespace sprockets::testing {
namespace {

TEST_CASE("the worst that happened is the result of a drain") {
  DrainCounts counts;
  CHECK(Judge(counts, DrainResult::kVerified) == DrainResult::kVerified);
  counts.unproven = 1;
  CHECK(Judge(counts, DrainResult::kVerified) == DrainResult::kUnproven);
  counts.left = 1;
  CHECK(Judge(counts, DrainResult::kVerified) == DrainResult::kLeft);
  CHECK(Judge(counts, DrainResult::kUnreachable) == DrainResult::kUnreachable);
  CHECK(ExitCodeOf(DrainResult::kVerified) == ExitCode::kDone);
  CHECK(ExitCodeOf(DrainResult::kUnproven) == ExitCode::kDiffers);
  CHECK(ExitCodeOf(DrainResult::kUnreachable) == ExitCode::kUnreachable);
  CHECK(ExitCodeOf(DrainResult::kRefused) == ExitCode::kRefused);
}

}  // namespace
}  // namespace sprockets::testing
