#include "tests/demo/story.h"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace sprockets::harness {
namespace {

// NO_COLOR is respected.
bool UseColour() {
  static const bool use = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return use;
}

}  // namespace

std::string Coloured(const char* code, const std::string& text) {
  return UseColour() ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
}

void TellTitle(const std::string& title) {
  std::printf("%s\n\n", Coloured("1", title).c_str());
  std::fflush(stdout);
}

void Tell(const std::string& what, const std::string& outcome) {
  std::printf("  %-42s %s\n", what.c_str(), outcome.c_str());
  std::fflush(stdout);
}

size_t EntriesInStreams(const RedisServer& redis) {
  RespClient connection = redis.Connect();
  size_t entries = 0;
  for (const Reply& key : connection.Call({"KEYS", "*"}).elements)
    entries += static_cast<size_t>(connection.Call({"XLEN", key.text}).integer);
  return entries;
}

}  // namespace sprockets::harness
