// The words of the command line, of logs and of JSON.
#include "shared/base/text.h"

#include <limits>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

std::string JsonBytes(std::string_view bytes) {
  std::string out;
  AppendJsonBytes(out, bytes);
  return out;
}

std::string JsonString(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

using namespace std::string_view_literals;

TEST_CASE("a duration without a unit, with a sign, a blank, a fraction or an unknown unit is refused") {
  for (const char* text : {"", "5", "ms", "-5s", "+5s", " 5s", "5 s", "5s ", "1.5s", "5sec", "5S", "0x5s", "5ss"}) {
    INFO(text);
    const auto parsed = ParseDurationMs(text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == ErrorCode::kUsage);
  }
  CHECK(ParseDurationMs("5").error().message.find("250ms") != std::string::npos);
}

TEST_CASE("a duration is milliseconds whatever its unit") {
  CHECK(ParseDurationMs("0").value() == 0);
  CHECK(ParseDurationMs("250ms").value() == 250);
  CHECK(ParseDurationMs("5s").value() == 5000);
  CHECK(ParseDurationMs("10m").value() == 600000);
  CHECK(ParseDurationMs("72h").value() == 259200000);
  CHECK(ParseDurationMs("2d").value() == 172800000);
}

TEST_CASE("a quantity that does not fit 64 bits is an error, not a small number") {
  CHECK(ParseDurationMs("9223372036854775807ms").value() == std::numeric_limits<int64_t>::max());
  for (const char* text : {"9223372036854775808ms", "9223372036854775807s", "106751991168d", "99999999999999999999h"}) {
    INFO(text);
    REQUIRE_FALSE(ParseDurationMs(text).ok());
    CHECK(ParseDurationMs(text).error().message.find("too large") != std::string::npos);
  }
  CHECK_FALSE(ParseSizeBytes("8388608TiB").ok());
  CHECK(ParseSizeBytes("8388607TiB").ok());
}

TEST_CASE("a size takes binary units, and a decimal unit is refused with the way out") {
  CHECK(ParseSizeBytes("0").value() == 0);
  CHECK(ParseSizeBytes("4096").value() == 4096);
  CHECK(ParseSizeBytes("512B").value() == 512);
  CHECK(ParseSizeBytes("64KiB").value() == 65536);
  CHECK(ParseSizeBytes("8MiB").value() == 8388608);
  CHECK(ParseSizeBytes("8GiB").value() == 8589934592);
  CHECK(ParseSizeBytes("1TiB").value() == 1099511627776);
  for (const char* text : {"8MB", "8M", "8mib", "-1", "", "KiB", "8 MiB"}) {
    INFO(text);
    REQUIRE_FALSE(ParseSizeBytes(text).ok());
    CHECK(ParseSizeBytes(text).error().message.find("MiB") != std::string::npos);
  }
}

TEST_CASE("an error about an option shows the bad value on one line, however it was made") {
  const std::string message = ParseSizeBytes("8\n\x1b[31m" + std::string(1000, 'x')).error().message;
  CHECK(message.size() < 300);
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find('\x1b') == std::string::npos);
}

TEST_CASE("an integer outside its bounds, or with anything beside its digits, is refused") {
  CHECK(ParseInteger("1", 1, 10).value() == 1);
  CHECK(ParseInteger("10", 1, 10).value() == 10);
  CHECK(ParseInteger("-3", -5, 5).value() == -3);
  for (const char* text : {"0", "11", "", "1x", "x", " 1", "1 ", "+1", "1.0", "99999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(ParseInteger(text, 1, 10).ok());
  }
  CHECK(ParseInteger("11", 1, 10).error().message == "\"11\" is not a whole number from 1 to 10");
}

TEST_CASE("sizes for people have one decimal and never read 1024.0") {
  CHECK(FormatSize(0) == "0 B");
  CHECK(FormatSize(1023) == "1023 B");
  CHECK(FormatSize(1024) == "1.0 KiB");
  CHECK(FormatSize(8388608) == "8.0 MiB");
  CHECK(FormatSize(1024 * 1024 - 1) == "1.0 MiB");
  CHECK(FormatSize(1610612736) == "1.5 GiB");
  CHECK(FormatSize(std::numeric_limits<uint64_t>::max()) == "16.0 EiB");
}

TEST_CASE("durations for people have two units at most, and time that ran backwards is none") {
  CHECK(FormatDuration(0) == "0ms");
  CHECK(FormatDuration(250) == "250ms");
  CHECK(FormatDuration(4299) == "4.2s");
  CHECK(FormatDuration(59999) == "59.9s");
  CHECK(FormatDuration(185000) == "3m 05s");
  CHECK(FormatDuration((2 * 60 + 7) * 60000) == "2h 07m");
  CHECK(FormatDuration(76ll * 3600 * 1000) == "3d 04h");
  CHECK(FormatDuration(-5) == "0ms");
}

TEST_CASE("counts for people are grouped by thousands") {
  CHECK(FormatCount(0) == "0");
  CHECK(FormatCount(999) == "999");
  CHECK(FormatCount(1000) == "1 000");
  CHECK(FormatCount(1234567) == "1 234 567");
}

TEST_CASE("a glob matches what Redis's KEYS would match") {
  CHECK(GlobMatch("*", ""));
  CHECK(GlobMatch("", ""));
  CHECK_FALSE(GlobMatch("", "a"));
  CHECK(GlobMatch("bounty-*", "bounty-stream"));
  CHECK_FALSE(GlobMatch("bounty-*", "Bounty-stream"));
  CHECK(GlobMatch("*-stream", "a-stream-b-stream"));
  CHECK(GlobMatch("h?llo", "hello"));
  CHECK_FALSE(GlobMatch("h?llo", "hllo"));
  CHECK(GlobMatch("h[ae]llo", "hallo"));
  CHECK_FALSE(GlobMatch("h[ae]llo", "hillo"));
  CHECK(GlobMatch("h[^e]llo", "hallo"));
  CHECK_FALSE(GlobMatch("h[^e]llo", "hello"));
  CHECK(GlobMatch("h[a-c]llo", "hbllo"));
  CHECK(GlobMatch("h[c-a]llo", "hbllo"));
  CHECK_FALSE(GlobMatch("h[a-c]llo", "hdllo"));
  CHECK(GlobMatch(R"(a\*b)", "a*b"));
  CHECK_FALSE(GlobMatch(R"(a\*b)", "axb"));
  CHECK(GlobMatch(R"(a[\]]b)", "a]b"));
  CHECK(GlobMatch("a[bc", "ab"));  // an unclosed set ends with the pattern
  CHECK(GlobMatch("a\\", "a\\"));
  CHECK_FALSE(GlobMatch("[]", "a"));
  CHECK(GlobMatch("\xff*\0"sv, "\xff\x80\0"sv));
}

TEST_CASE("in a glob's set an escaped byte begins no range, and a range may end with any byte") {  // found by fuzzing
  CHECK(GlobMatch(R"([\a-c])", "a"));
  CHECK(GlobMatch(R"([\a-c])", "-"));
  CHECK_FALSE(GlobMatch(R"([\a-c])", "b"));
  CHECK(GlobMatch("[Z-\\]", "["));  // up to the backslash itself
  CHECK(GlobMatch("[a-]", "_"));    // down to the bracket, which closes nothing
}

TEST_CASE("a glob of many stars is decided at once") {
  const std::string text(5000, 'a');
  CHECK_FALSE(GlobMatch("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

TEST_CASE("UTF-8 with an overlong form, a surrogate, a lone or a missing continuation byte is not UTF-8") {
  for (const std::string_view bytes :
       {"\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x9F\xBF"sv, "\xF0\x8F\xBF\xBF"sv, "\xED\xA0\x80"sv, "\xED\xBF\xBF"sv,
        "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\x80"sv, "\xBF"sv, "\xC3"sv, "\xE2\x82"sv, "\xF0\x9F\x98"sv,
        "\xE2\x28\xA1"sv, "\xFF"sv}) {
    INFO(Escape(bytes));
    // At every offset into the eight bytes that the fast path takes at once, and with text behind it.
    for (size_t before = 0; before < 17; ++before) {
      CHECK_FALSE(IsUtf8(std::string(before, 'a') + std::string(bytes)));
      CHECK_FALSE(IsUtf8(std::string(before, 'a') + std::string(bytes) + "aaaaaaaaaaaaaaaa"));
    }
  }
}

TEST_CASE("the first and the last character of every length is UTF-8, NUL included") {
  CHECK(IsUtf8(""));
  for (const std::string_view bytes :
       {"\0"sv, "\x7F"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv, "\xEE\x80\x80"sv,
        "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv}) {
    for (size_t before = 0; before < 17; ++before) {
      CHECK(IsUtf8(std::string(before, 'a') + std::string(bytes) + "aaaaaaaaaaaaaaaa"));
    }
  }
}

TEST_CASE("escaped bytes have no control byte and say where they were cut") {
  CHECK(Escape("plain text") == "plain text");
  CHECK(Escape("\r\n\t\\\"\0\x7f\xc3"sv) == R"(\r\n\t\\\"\x00\x7f\xc3)");
  CHECK(Escape("abcdef", 3) == "abc…");
  CHECK(Escape("abc", 3) == "abc");
}

TEST_CASE("a quoted identifier keeps its quotes inside") {
  CHECK(QuoteIdentifier("bounty-stream") == R"("bounty-stream")");
  CHECK(QuoteIdentifier(R"(a"b""c)") == R"("a""b""""c")");
  CHECK(QuoteIdentifier("") == R"("")");
}

TEST_CASE("bytes that are not UTF-8 are base64 in JSON, with the right padding") {
  CHECK(JsonBytes("caf\xC3\xA9") == "\"caf\xC3\xA9\"");
  CHECK(JsonBytes("\xff") == R"({"base64":"/w=="})");
  CHECK(JsonBytes("\xff\xfe") == R"({"base64":"//4="})");
  CHECK(JsonBytes("\xff\xfe\xfd") == R"({"base64":"//79"})");
  CHECK(JsonBytes("\xff\xfe\xfd\0"sv) == R"({"base64":"//79AA=="})");
}

TEST_CASE("a JSON string escapes what JSON forbids and replaces what is not UTF-8") {
  CHECK(JsonString("a\"b\\c\nd\re\tf") == R"("a\"b\\c\nd\re\tf")");
  CHECK(JsonString("\0\x1f"sv) == R"("\u0000\u001f")");
  CHECK(JsonString("a\xff\xE2\x82z") == "\"a\uFFFD\uFFFD\uFFFDz\"");
}

}  // namespace
}  // namespace sprockets
