// Logging: an event name and key=value pairs, as text or as one JSON object a line, to stderr. Changes of state with
// counts, never a line per event. A log that cannot be written (a full disk) never stops the program, and after
// LogInBackground one that nobody reads does not keep it waiting either.
// Any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace sprockets {

enum class LogFormat { kText, kJson };
enum class LogLevel { kDebug, kInfo, kWarning, kError, kNone };

/// One value of a line. Strings are escaped on the way out.
struct LogField {
  template <typename Number, typename = std::enable_if_t<std::is_integral_v<Number>>>
  LogField(std::string_view name, Number value) : key(name), number(static_cast<int64_t>(value)), is_number(true) {}
  LogField(std::string_view name, std::string_view value) : key(name), text(value) {}
  LogField(std::string_view name, const char* value) : key(name), text(value) {}
  LogField(std::string_view name, const std::string& value) : key(name), text(value) {}

  std::string_view key;
  std::string_view text;
  int64_t number = 0;
  bool is_number = false;
};

/// Once, before the first line. Without it, lines are text at level info. At level kNone nothing is written.
void InitLog(LogFormat format, LogLevel level = LogLevel::kInfo);

/// From now on lines are written by a thread of their own. While stderr takes none, up to 1 MiB of them wait; what is
/// beyond that is dropped, counted, and said when stderr takes lines again.
void LogInBackground();
/// Waits until every line is written, but not longer than this. Before the end of the program.
void FlushLog(int64_t patience_ms);

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

inline void LogInfo(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, event, fields);
}
inline void LogWarning(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, event, fields);
}
inline void LogError(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, event, fields);
}

}  // namespace sprockets
