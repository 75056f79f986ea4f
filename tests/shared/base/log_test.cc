// The lines of the log, as they arrive at stderr.
#include "shared/base/log.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <regex>
#include <string>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

/// Redirects stderr for as long as it lives.
class StderrTo {
 public:
  explicit StderrTo(int fd) : saved_(dup(STDERR_FILENO)) { dup2(fd, STDERR_FILENO); }
  ~StderrTo() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  StderrTo(const StderrTo&) = delete;
  StderrTo& operator=(const StderrTo&) = delete;

 private:
  int saved_;
};

template <typename Write>
std::string Captured(Write write) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    StderrTo redirected(fileno(file));
    write();
  }
  std::string text(4096, '\0');
  text.resize(static_cast<size_t>(pread(fileno(file), text.data(), text.size(), 0)));
  std::fclose(file);
  return text;
}

constexpr char kTime[] = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)";

TEST_CASE("a text line is time, level, event and key=value") {
  InitLog(LogFormat::kText);
  const std::string line = Captured([] {
    LogWarning("breaker_open", {{"refusals", 16}, {"reason", "OOM"}, {"spilled", uint64_t{7}}, {"left", int64_t{-1}}});
  });
  CHECK(std::regex_match(
      line, std::regex(std::string(kTime) + " warning breaker_open refusals=16 reason=OOM spilled=7 left=-1\n")));
}

TEST_CASE("at level none nothing is written") {
  InitLog(LogFormat::kText, LogLevel::kNone);
  const std::string line = Captured([] { LogError("redis_error", {}); });
  InitLog(LogFormat::kText);
  CHECK(line.empty());
}

TEST_CASE("a value from outside can neither break a text line nor forge a key") {
  InitLog(LogFormat::kText);
  const std::string line = Captured([] {
    LogInfo("client_cut", {{"why", std::string("bad\nlevel=error \"x\"")}, {"empty", ""}, {"name", "a=b"}});
  });
  CHECK(std::regex_match(line, std::regex(std::string(kTime) +
                                          R"re( info client_cut why="bad\\nlevel=error \\"x\\"" empty="" name="a=b")re"
                                          "\n")));
}

TEST_CASE("a JSON line is one object whatever is in it") {
  InitLog(LogFormat::kJson);
  const std::string line = Captured([] {
    LogError("redis_error", {{"text", std::string("a\"b\n\xff{}%v")}, {"count", 2}});
  });
  InitLog(LogFormat::kText);
  CHECK(std::regex_match(line, std::regex(R"re(\{"time":")re" + std::string(kTime) +
                                          R"re(","level":"error","event":"redis_error","text":"a\\"b\\n)re"
                                          "\uFFFD"
                                          R"re(\{\}%v","count":2\})re"
                                          "\n")));
}

TEST_CASE("a line below the level is not written") {
  InitLog(LogFormat::kText, LogLevel::kWarning);
  CHECK(Captured([] { LogInfo("quiet"); }).empty());
  InitLog(LogFormat::kText, LogLevel::kDebug);
  CHECK_FALSE(Captured([] { Log(LogLevel::kDebug, "loud"); }).empty());
  InitLog(LogFormat::kText);
}

TEST_CASE("a log on a full disk, or a closed one, stops nobody") {
  InitLog(LogFormat::kText);
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  {
    StderrTo redirected(full);
    CHECK_NOTHROW(LogError("disk_full", {{"rows", 1}}));
    CHECK_NOTHROW(LogError("disk_full", {{"rows", 2}}));
  }
  const int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC);
  {
    StderrTo redirected(read_only);
    CHECK_NOTHROW(LogError("no_stderr"));
  }
  close(full);
  close(read_only);
  CHECK_FALSE(Captured([] { LogInfo("back"); }).empty());
}

}  // namespace
}  // namespace sprockets
