#include "sidecar/core/empty_key.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

using Args = std::span<const std::string_view>;

constexpr std::string_view kNoInteger = "ERR value is not an integer or out of range";
constexpr std::string_view kNoFloat = "ERR value is not a valid float";
constexpr std::string_view kSyntax = "ERR syntax error";

EmptyKeyAnswer Refuse(std::string_view text) {
  EmptyKeyAnswer answer;
  AppendError(answer.resp, text);
  return answer;
}

// As Redis reads integers: no plus, no blank, no zero in front.
std::optional<int64_t> Integer(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole = error == std::errc{} && end == text.data() + text.size();
  if (!is_whole || text != std::to_string(number)) return std::nullopt;
  return number;
}

// As Redis reads scores: whatever strtod takes as a whole, but no NaN.
std::optional<double> Float(std::string_view text) {
  if (text.empty() || text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r')) return std::nullopt;
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const double number = std::strtod(copy.c_str(), &end);
  const bool is_out_of_range = errno == ERANGE && (std::isinf(number) || number == 0);
  if (end != copy.c_str() + copy.size() || std::isnan(number) || is_out_of_range) return std::nullopt;
  return number;
}

std::string Shortest(double number) {
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  constexpr int kFewestDigits = 15;
  constexpr int kMostDigits = 17;
  std::array<char, 40> text{};
  for (int digits = kFewestDigits; digits <= kMostDigits; ++digits) {
    std::snprintf(text.data(), text.size(), "%.*g", digits, number);
    if (std::strtod(text.data(), nullptr) == number) break;
  }
  return text.data();
}

// As INCRBYFLOAT and HINCRBYFLOAT write a value: without an exponent, without zeros at the end.
std::string Written(long double number) {
  constexpr int kDecimals = 17;
  std::string text(static_cast<size_t>(std::snprintf(nullptr, 0, "%.*Lf", kDecimals, number)), '\0');
  std::snprintf(text.data(), text.size() + 1, "%.*Lf", kDecimals, number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

EmptyKeyAnswer Count(int64_t count) {
  EmptyKeyAnswer answer;
  AppendInteger(answer.resp, count);
  return answer;
}

EmptyKeyAnswer Score(double score, int protocol) {
  EmptyKeyAnswer answer;
  if (protocol == 3) {
    answer.resp.append(",").append(Shortest(score)).append("\r\n");
  } else {
    AppendBulk(answer.resp, Shortest(score));
  }
  return answer;
}

EmptyKeyAnswer Simple(std::string_view text) {
  EmptyKeyAnswer answer;
  AppendSimple(answer.resp, text);
  return answer;
}

EmptyKeyAnswer Null(int protocol) {
  EmptyKeyAnswer answer;
  AppendNull(answer.resp, protocol);
  return answer;
}

EmptyKeyAnswer WrongArguments(std::string_view command) {
  return Refuse("ERR wrong number of arguments for '" + LowerCase(command) + "' command");
}

EmptyKeyAnswer Zero(Args, int) {
  return Count(0);
}

EmptyKeyAnswer Nothing(Args, int protocol) {
  return Null(protocol);
}

EmptyKeyAnswer NoTime(Args, int) {
  return Count(-2);
}

EmptyKeyAnswer None(Args, int) {
  return Simple("none");
}

EmptyKeyAnswer One(Args, int) {
  return Count(1);
}

EmptyKeyAnswer Zincrby(Args args, int protocol) {
  const auto increment = Float(args[2]);
  return increment ? Score(*increment, protocol) : Refuse(kNoFloat);
}

// ZADD to a set that begins empty: what it adds may come twice.
struct Zadd {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
  bool ch = false;
  bool incr = false;

  // How many of the words behind the key are options.
  size_t TakeOptions(Args words) {
    size_t at = 0;
    for (; at < words.size(); ++at) {
      const std::string word = LowerCase(words[at].substr(0, 8));
      bool* const option = word == "nx"     ? &nx
                           : word == "xx"   ? &xx
                           : word == "gt"   ? &gt
                           : word == "lt"   ? &lt
                           : word == "ch"   ? &ch
                           : word == "incr" ? &incr
                                            : nullptr;
      if (option == nullptr) break;
      *option = true;
    }
    return at;
  }

  int64_t Changes(const std::vector<std::pair<double, std::string_view>>& members) const {
    std::map<std::string_view, double> scores;
    int64_t changes = 0;
    for (const auto& [score, member] : members) {
      if (xx) continue;
      const auto [found, is_new] = scores.try_emplace(member, score);
      if (is_new) {
        ++changes;
        continue;
      }
      const bool stays = nx || (gt && score <= found->second) || (lt && score >= found->second);
      if (stays || score == found->second) continue;
      found->second = score;
      if (ch) ++changes;
    }
    return changes;
  }
};

EmptyKeyAnswer ZaddAnswer(Args args, int protocol) {
  Zadd zadd;
  const Args pairs = args.subspan(2 + zadd.TakeOptions(args.subspan(2)));
  if (pairs.empty() || pairs.size() % 2 != 0) return Refuse(kSyntax);
  if (zadd.nx && zadd.xx) return Refuse("ERR XX and NX options at the same time are not compatible");
  if ((zadd.gt && zadd.nx) || (zadd.lt && zadd.nx) || (zadd.gt && zadd.lt))
    return Refuse("ERR GT, LT, and/or NX options at the same time are not compatible");
  if (zadd.incr && pairs.size() > 2) return Refuse("ERR INCR option supports a single increment-element pair");
  std::vector<std::pair<double, std::string_view>> members;
  for (size_t at = 0; at < pairs.size(); at += 2) {
    const auto score = Float(pairs[at]);
    if (!score) return Refuse(kNoFloat);
    members.emplace_back(*score, pairs[at + 1]);
  }
  if (!zadd.incr) return Count(zadd.Changes(members));
  return zadd.xx ? Null(protocol) : Score(members.front().first, protocol);
}

EmptyKeyAnswer Hincrby(Args args, int) {
  const auto increment = Integer(args[3]);
  return increment ? Count(*increment) : Refuse(kNoInteger);
}

EmptyKeyAnswer IncrementByFloat(std::string_view increment, std::string_view if_infinite) {
  if (!Float(increment)) return Refuse(kNoFloat);
  const long double number = std::strtold(std::string(increment).c_str(), nullptr);
  if (!std::isfinite(number)) return Refuse(if_infinite);
  EmptyKeyAnswer answer;
  AppendBulk(answer.resp, Written(number));
  return answer;
}

EmptyKeyAnswer Hincrbyfloat(Args args, int) {
  return IncrementByFloat(args[3], "ERR value is NaN or Infinity");
}

EmptyKeyAnswer Incrbyfloat(Args args, int) {
  return IncrementByFloat(args[2], "ERR increment would produce NaN or Infinity");
}

int64_t Fields(Args args) {
  std::set<std::string_view> fields;
  for (size_t at = 2; at < args.size(); at += 2) fields.insert(args[at]);
  return static_cast<int64_t>(fields.size());
}

EmptyKeyAnswer Hset(Args args, int) {
  return args.size() % 2 == 0 ? Count(Fields(args)) : WrongArguments(args[0]);
}

EmptyKeyAnswer Hmset(Args args, int) {
  return args.size() % 2 == 0 ? Simple("OK") : WrongArguments(args[0]);
}

EmptyKeyAnswer Sadd(Args args, int) {
  return Count(static_cast<int64_t>(std::set(args.begin() + 2, args.end()).size()));
}

EmptyKeyAnswer Incrby(Args args, int) {
  const auto increment = Integer(args[2]);
  return increment ? Count(*increment) : Refuse(kNoInteger);
}

EmptyKeyAnswer Decr(Args, int) {
  return Count(-1);
}

EmptyKeyAnswer Decrby(Args args, int) {
  const auto decrement = Integer(args[2]);
  if (!decrement) return Refuse(kNoInteger);
  if (*decrement == std::numeric_limits<int64_t>::min()) return Refuse("ERR decrement would overflow");
  return Count(-*decrement);
}

EmptyKeyAnswer Expire(Args args, int) {
  std::set<std::string> options;
  for (const std::string_view option : args.subspan(3)) {
    const std::string name = LowerCase(option.substr(0, 8));
    if (name != "nx" && name != "xx" && name != "gt" && name != "lt")
      return Refuse("ERR Unsupported option " + std::string(option));
    options.insert(name);
  }
  if (options.contains("nx") && options.size() > 1)
    return Refuse("ERR NX and XX, GT or LT options at the same time are not compatible");
  if (options.contains("gt") && options.contains("lt"))
    return Refuse("ERR GT and LT options at the same time are not compatible");
  return Integer(args[2]) ? Count(0) : Refuse(kNoInteger);
}

// A plain SET; with options there is too much that could be meant.
EmptyKeyAnswer Set(Args args, int) {
  if (args.size() > 3)
    return Refuse("RETRY Redis is away, and a SET with options is not skipped (see --skip-while-away)");
  return Simple("OK");
}

enum class Keys { kFirst, kAll };

struct Row {
  std::string_view command;
  int arity;  // with the command's name; negative: at least so many
  Keys keys;
  bool writes;
  EmptyKeyAnswer (*answer)(Args args, int protocol);
};

constexpr std::array kTable = {
    Row{"zincrby", 4, Keys::kFirst, true, Zincrby},
    Row{"zadd", -4, Keys::kFirst, true, ZaddAnswer},
    Row{"zrem", -3, Keys::kFirst, true, Zero},
    Row{"hincrby", 4, Keys::kFirst, true, Hincrby},
    Row{"hincrbyfloat", 4, Keys::kFirst, true, Hincrbyfloat},
    Row{"hset", -4, Keys::kFirst, true, Hset},
    Row{"hsetnx", 4, Keys::kFirst, true, One},
    Row{"hmset", -4, Keys::kFirst, true, Hmset},
    Row{"hdel", -3, Keys::kFirst, true, Zero},
    Row{"incr", 2, Keys::kFirst, true, One},
    Row{"incrby", 3, Keys::kFirst, true, Incrby},
    Row{"incrbyfloat", 3, Keys::kFirst, true, Incrbyfloat},
    Row{"decr", 2, Keys::kFirst, true, Decr},
    Row{"decrby", 3, Keys::kFirst, true, Decrby},
    Row{"set", -3, Keys::kFirst, true, Set},
    Row{"setnx", 3, Keys::kFirst, true, One},
    Row{"sadd", -3, Keys::kFirst, true, Sadd},
    Row{"srem", -3, Keys::kFirst, true, Zero},
    Row{"del", -2, Keys::kAll, true, Zero},
    Row{"unlink", -2, Keys::kAll, true, Zero},
    Row{"expire", -3, Keys::kFirst, true, Expire},
    Row{"pexpire", -3, Keys::kFirst, true, Expire},
    Row{"expireat", -3, Keys::kFirst, true, Expire},
    Row{"pexpireat", -3, Keys::kFirst, true, Expire},
    Row{"persist", 2, Keys::kFirst, true, Zero},
    Row{"type", 2, Keys::kFirst, false, None},
    Row{"exists", -2, Keys::kAll, false, Zero},
    Row{"ttl", 2, Keys::kFirst, false, NoTime},
    Row{"pttl", 2, Keys::kFirst, false, NoTime},
    Row{"zcard", 2, Keys::kFirst, false, Zero},
    Row{"zscore", 3, Keys::kFirst, false, Nothing},
    Row{"hlen", 2, Keys::kFirst, false, Zero},
    Row{"hget", 3, Keys::kFirst, false, Nothing},
    Row{"hexists", 3, Keys::kFirst, false, Zero},
    Row{"scard", 2, Keys::kFirst, false, Zero},
    Row{"sismember", 3, Keys::kFirst, false, Zero},
    Row{"strlen", 2, Keys::kFirst, false, Zero},
    Row{"get", 2, Keys::kFirst, false, Nothing},
};

const Row* Find(std::string_view command) {
  const std::string name = LowerCase(command.substr(0, 32));
  const auto* const found =
      std::find_if(kTable.begin(), kTable.end(), [&](const Row& row) { return row.command == name; });
  return found == kTable.end() ? nullptr : found;
}

bool Fits(const Row& row, size_t words) {
  return row.arity > 0 ? words == static_cast<size_t>(row.arity) : words >= static_cast<size_t>(-row.arity);
}

}  // namespace

bool HasEmptyKeyAnswer(std::string_view command) {
  return Find(command) != nullptr;
}

std::string CommandsWithEmptyKeyAnswer() {
  std::string names;
  for (const Row& row : kTable) names.append(names.empty() ? "" : ", ").append(row.command);
  return names;
}

EmptyKeyAnswer AnswerOnEmptyKey(Args args, int protocol) {
  const Row* row = Find(args[0]);
  if (!Fits(*row, args.size())) return WrongArguments(args[0]);
  EmptyKeyAnswer answer = row->answer(args, protocol);
  answer.writes = row->writes && !answer.resp.starts_with('-');
  return answer;
}

Args KeysOf(Args args) {
  const Row* row = Find(args[0]);
  const size_t most = row->keys == Keys::kAll ? args.size() - 1 : 1;
  return args.subspan(1, std::min(args.size() - 1, most));
}

}  // namespace sprockets
