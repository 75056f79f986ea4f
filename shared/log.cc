// Logging through spdlog: it brings the clock, the levels, the lock and the sink; the line's content is made here.
// Any thread.
#include "shared/log.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "shared/text.h"

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

spdlog::logger& Logger() {
  // Never destroyed: a thread may still have a last word while the process exits.
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger("sprockets", std::make_shared<spdlog::sinks::stderr_sink_mt>());
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
