#include "replayer/outcome.h"

#include <sstream>

#include <catch2/catch.hpp>

namespace sprockets::testing {
namespace {

Outcome SomeOutcome() {
  Outcome outcome;
  outcome.details["structures"] = {"board"};
  outcome.counts = {{"read", 7}, {"left", 2}};
  outcome.duration_ms = 5;
  outcome.result = "left";
  outcome.text = "drain: 7 read\nleft\n";
  outcome.exit_code = ExitCode::kDiffers;
  return outcome;
}

TEST_CASE("an outcome is one line of JSON in a fixed order") {
  Outcome outcome = SomeOutcome();
  CHECK(outcome.Json("drain") ==
        "{\"command\":\"drain\",\"read\":7,\"left\":2,\"duration_ms\":5,\"result\":\"left\","
        "\"structures\":[\"board\"]}\n");
  outcome.error = "no \"luck\"\n\xff";
  CHECK_THAT(outcome.Json("drain"), Catch::Contains(R"("result":"left","error":"no \"luck\"\n)"
                                                    "\uFFFD\","));
}

TEST_CASE("an outcome is printed as lines or as a document, and without a result as no document") {
  std::ostringstream text;
  Output("drain", /*json=*/false, text).Print(SomeOutcome());
  CHECK(text.str() == "drain: 7 read\nleft\n");
  std::ostringstream json;
  Output output("drain", /*json=*/true, json);
  output.Print(Outcome());
  CHECK(json.str().empty());
  output.Print(SomeOutcome());
  CHECK(json.str() == SomeOutcome().Json("drain"));
}

TEST_CASE("a failure's word and exit code say what kind of failure it is") {
  const auto failed = [](ErrorCode code) { return Outcome::Failed({code, "why"}); };
  CHECK(failed(ErrorCode::kUsage).Json("show") == R"({"command":"show","result":"usage","error":"why"})"
                                                  "\n");
  CHECK(failed(ErrorCode::kUsage).exit_code == ExitCode::kUsage);
  CHECK(failed(ErrorCode::kNotFound).result == "unreachable");
  CHECK(failed(ErrorCode::kNotFound).exit_code == ExitCode::kUnreachable);
  CHECK(failed(ErrorCode::kBusy).result == "refused");
  CHECK(failed(ErrorCode::kBusy).exit_code == ExitCode::kRefused);
  CHECK(failed(ErrorCode::kBusy).text.empty());
}

TEST_CASE("bytes that are no text are base64 in JSON") {
  CHECK(JsonLine(JsonOfBytes("text")) == "\"text\"");
  CHECK(JsonLine(JsonOfBytes("\xff")) == R"({"base64":"/w=="})");
}

}  // namespace
}  // namespace sprockets::testing
