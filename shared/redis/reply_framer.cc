#include "shared/redis/reply_framer.h"

#include <algorithm>
#include <charconv>

namespace sprockets {

namespace {

constexpr std::string_view kTexts = "+-_#,(";
constexpr std::string_view kNumbers = ":$=!*~>%";  // what begins with a number
constexpr size_t kMaxDigits = 32;
constexpr int64_t kMostElements = 1ll << 32;

}  // namespace

ReplyFramer::Outcome ReplyFramer::Take(std::string_view bytes, size_t* taken) {
  *taken = 0;
  if (bytes.empty()) return Outcome::kPart;
  if (!in_reply_) {
    in_reply_ = true;
    type_ = 0;
    is_null_ = false;
    last_integer_.reset();
    elements_left_ = 1;
  }
  size_t at = 0;
  while (at < bytes.size() && elements_left_ > 0) {
    if (state_ == State::kType) {
      TakeType(bytes[at++]);
      if (kTexts.find(element_) == kTexts.npos && kNumbers.find(element_) == kNumbers.npos) return Outcome::kBad;
    } else if (state_ == State::kBytes) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(bytes_left_, bytes.size() - at));
      at += size;
      bytes_left_ -= size;
      if (bytes_left_ > 0) break;
      state_ = State::kType;
      --elements_left_;
    } else {
      const size_t end = bytes.find('\n', at);
      const size_t line = std::min(end, bytes.size()) - at;
      if (state_ == State::kNumber) {
        if (digits_.size() + line > kMaxDigits) return Outcome::kBad;
        digits_.append(bytes.substr(at, line));
      }
      at += line;
      if (end == bytes.npos) break;
      ++at;
      if (state_ == State::kText) {
        state_ = State::kType;
        --elements_left_;
      } else if (!TakeNumber()) {
        return Outcome::kBad;
      }
    }
  }
  *taken = at;
  if (elements_left_ > 0) return Outcome::kPart;
  in_reply_ = false;
  return Outcome::kWhole;
}

void ReplyFramer::TakeType(char type) {
  element_ = type;
  is_whole_reply_ = type_ == 0;
  if (is_whole_reply_) type_ = type;
  if (is_whole_reply_ && type == '_') is_null_ = true;
  digits_.clear();
  state_ = kTexts.find(type) == kTexts.npos ? State::kNumber : State::kText;
}

// The line behind ':' is a value; behind any other type, a number of bytes or elements.
bool ReplyFramer::TakeNumber() {
  state_ = State::kType;
  std::string_view digits = digits_;
  if (digits.ends_with('\r')) digits.remove_suffix(1);
  if (element_ == ':' && digits.starts_with('+')) digits.remove_prefix(1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return false;
  if (element_ == ':') {
    last_integer_ = number;
    --elements_left_;
    return true;
  }
  if (number < -1 || number > kMostElements) return false;
  const bool is_string = element_ == '$' || element_ == '=' || element_ == '!';
  if (number == -1) {
    if (is_whole_reply_) is_null_ = true;
    --elements_left_;
  } else if (is_string) {
    bytes_left_ = static_cast<uint64_t>(number) + 2;
    state_ = State::kBytes;
  } else {
    elements_left_ += static_cast<uint64_t>(number) * (element_ == '%' ? 2 : 1) - 1;
  }
  return elements_left_ < uint64_t{1} << 40;
}

}  // namespace sprockets
