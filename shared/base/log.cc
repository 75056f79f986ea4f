// Logging through spdlog: it brings the clock, the levels, the lock and the sink; the line's content is made here.
// Any thread.
#include "shared/base/log.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <memory>
#include <mutex>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr size_t kMaxValueBytes = 1024;

std::atomic<LogFormat> line_format = LogFormat::kText;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kNone:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

void Configure(spdlog::logger& logger, LogFormat format, LogLevel level) {
  const char* const pattern = format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                         : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
  logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  logger.set_level(ToSpdlog(level));
  line_format = format;
}

/// What cannot be written is gone: there is nobody to tell.
void WriteToStderr(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDERR_FILENO, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd ready{STDERR_FILENO, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

/// Lines on their way to a stderr that may take its time. Never destroyed: its thread may wait there for ever.
class Background {
 public:
  Background() {
    std::thread([this] { Run(); }).detach();
  }

  void Add(std::string_view line) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() + line.size() > kMostWaitingBytes) {
        ++dropped_;
        return;
      }
      waiting_.append(line);
    }
    changed_.notify_all();
  }

  void Flush(int64_t patience_ms) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(patience_ms),
                      [this] { return waiting_.empty() && !writing_ && dropped_ == 0; });
  }

 private:
  static constexpr size_t kMostWaitingBytes = 1 << 20;

  void Run() {
    // Signals are for the threads that know what to do.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::string lines;
    while (true) {
      uint64_t dropped = 0;
      {
        std::unique_lock lock(mutex_);
        writing_ = false;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !waiting_.empty(); });
        lines.swap(waiting_);
        dropped = std::exchange(dropped_, 0);
        writing_ = true;
      }
      WriteToStderr(lines);
      lines.clear();
      if (dropped > 0) LogWarning("log-lines-dropped", {{"lines", dropped}});
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string waiting_;   // Guarded by mutex_
  uint64_t dropped_ = 0;  // Guarded by mutex_
  bool writing_ = false;  // Guarded by mutex_
};

std::atomic<Background*> background = nullptr;

class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const std::string_view bytes(line.data(), line.size());
    if (Background* writer = background.load()) {
      writer->Add(bytes);
    } else {
      WriteToStderr(bytes);
    }
  }
  void flush_() override {}
};

spdlog::logger& Logger() {
  // Never destroyed: a thread may still have a last word while the process exits.
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger("sprockets", std::make_shared<StderrSink>());
    made->set_error_handler([](const std::string&) {});  // spdlog's own would write to the stderr that just failed
    Configure(*made, LogFormat::kText, LogLevel::kInfo);
    return made;
  }();
  return logger;
}

void AppendTextValue(std::string& line, std::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '=' && c != '\\';
  });
  if (!plain) line.push_back('"');
  line.append(Escape(value, kMaxValueBytes));
  if (!plain) line.push_back('"');
}

std::string TextLine(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    line.append(" ").append(field.key).push_back('=');
    if (field.is_number) {
      line.append(std::to_string(field.number));
    } else {
      AppendTextValue(line, field.text);
    }
  }
  return line;
}

std::string JsonLine(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = R"("event":)";
  AppendJsonString(line, event);
  for (const LogField& field : fields) {
    line.push_back(',');
    AppendJsonString(line, field.key);
    line.push_back(':');
    if (field.is_number) {
      line.append(std::to_string(field.number));
    } else {
      AppendJsonString(line, field.text.substr(0, kMaxValueBytes));
    }
  }
  return line;
}

}  // namespace

void InitLog(LogFormat format, LogLevel level) {
  Configure(Logger(), format, level);
}

void LogInBackground() {
  if (background.load() == nullptr) background = new Background;
}

void FlushLog(int64_t patience_ms) {
  if (Background* writer = background.load()) writer->Flush(patience_ms);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  try {
    spdlog::logger& logger = Logger();
    const spdlog::level::level_enum spdlog_level = ToSpdlog(level);
    if (!logger.should_log(spdlog_level)) return;
    const std::string line = line_format == LogFormat::kJson ? JsonLine(event, fields) : TextLine(event, fields);
    logger.log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
  } catch (const std::exception&) {
    // Out of memory for a log line: the event matters more than the line about it.
  }
}

}  // namespace sprockets
