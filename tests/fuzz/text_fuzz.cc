// Bytes as JSON, as escaped text and as an SQL name: all of them can be read back, JSON by a parser that is not ours.
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "shared/base/result.h"
#include "shared/base/text.h"
#include "tests/fuzz/input.h"

namespace sprockets::fuzz {
namespace {

std::string DecodeBase64(std::string_view text) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  SPROCKETS_ASSERT(text.size() % 4 == 0);
  std::string bytes;
  uint32_t bits = 0;
  int bit_count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    const size_t value = kAlphabet.find(c);
    SPROCKETS_ASSERT(value != std::string_view::npos);
    bits = bits << 6 | static_cast<uint32_t>(value);
    bit_count += 6;
    if (bit_count >= 8) bytes.push_back(static_cast<char>(bits >> (bit_count -= 8) & 0xff));
  }
  return bytes;
}

/// What Escape's output stands for; aborts on anything that it must not write.
std::string Unescape(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    SPROCKETS_ASSERT(text[at] >= 0x20 && text[at] < 0x7f);
    if (text[at] != '\\') {
      SPROCKETS_ASSERT(text[at] != '"');
      bytes.push_back(text[at]);
      continue;
    }
    constexpr std::string_view kLetters = "nrt\\\"";
    constexpr std::string_view kMeanings = "\n\r\t\\\"";
    const char letter = text.at(++at);
    if (const size_t known = kLetters.find(letter); known != std::string_view::npos) {
      bytes.push_back(kMeanings[known]);
    } else {
      SPROCKETS_ASSERT(letter == 'x');
      bytes.push_back(static_cast<char>(std::stoi(std::string(text.substr(at + 1, 2)), nullptr, 16)));
      at += 2;
    }
  }
  return bytes;
}

bool IsUtf8ForJsonLibrary(const std::string& bytes) {
  try {
    (void)nlohmann::json(bytes).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

void CheckJson(const std::string& bytes) {
  const bool is_utf8 = IsUtf8(bytes);
  SPROCKETS_ASSERT(is_utf8 == IsUtf8ForJsonLibrary(bytes));
  std::string written;
  AppendJsonBytes(written, bytes);
  const nlohmann::json json = nlohmann::json::parse(written);
  if (is_utf8) {
    SPROCKETS_ASSERT(json.get<std::string>() == bytes);
  } else {
    SPROCKETS_ASSERT(json.size() == 1 && DecodeBase64(json.at("base64").get<std::string>()) == bytes);
  }
  std::string text;
  AppendJsonString(text, bytes);
  SPROCKETS_ASSERT(IsUtf8(text) && text.find('\n') == std::string::npos);
  const std::string repaired = nlohmann::json::parse(text).get<std::string>();
  SPROCKETS_ASSERT(!is_utf8 || repaired == bytes);
}

void CheckEscape(const std::string& bytes) {
  SPROCKETS_ASSERT(Unescape(Escape(bytes, bytes.size())) == bytes);
  std::string shortened = Escape(bytes, bytes.size() / 2);
  if (bytes.empty()) return;
  constexpr std::string_view kMore = "…";
  SPROCKETS_ASSERT(shortened.ends_with(kMore));
  shortened.resize(shortened.size() - kMore.size());
  SPROCKETS_ASSERT(Unescape(shortened) == bytes.substr(0, bytes.size() / 2));
}

void CheckIdentifier(const std::string& name) {
  if (name.find('\0') != std::string::npos) return;
  const std::string quoted = QuoteIdentifier(name);
  std::string unquoted;
  for (size_t at = 1; at + 1 < quoted.size(); ++at) {
    unquoted.push_back(quoted[at]);
    if (quoted[at] == '"') SPROCKETS_ASSERT(quoted[++at] == '"' && at + 1 < quoted.size());
  }
  SPROCKETS_ASSERT(quoted.front() == '"' && quoted.back() == '"' && unquoted == name);
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(sprockets::fuzz::TextOf(data, size));
  sprockets::fuzz::CheckJson(bytes);
  sprockets::fuzz::CheckEscape(bytes);
  sprockets::fuzz::CheckIdentifier(bytes);
  return 0;
}
