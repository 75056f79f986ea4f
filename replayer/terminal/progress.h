// How far a run is, on stderr: a bar with rate and time left on a terminal, a line every few seconds elsewhere. It
// makes room for log lines, so that no error is ever overwritten. Each is one thread's; the bars of several threads
// stand below each other.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace sprockets {

enum class ProgressStyle { kAuto, kPlain, kNone };

/// The words of one progress line. Pure. `total` 0: not known.
std::string ProgressText(std::string_view what, uint64_t done, uint64_t total, int64_t elapsed_ms);
/// The same with a bar, to fit `width` columns.
std::string ProgressBar(std::string_view what, uint64_t done, uint64_t total, int64_t elapsed_ms, size_t width);
/// What makes a terminal show `bars` in place of the `shown` lines that end at the cursor. Pure.
std::string RedrawText(size_t shown, std::span<const std::string> bars);

class Progress {
 public:
  /// `what` must outlive the object.
  Progress(ProgressStyle style, std::string_view what);
  ~Progress() { MakeRoom(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void SetTotal(uint64_t total) { total_ = total; }
  /// Cheap: draws a few times a second at most.
  void Advance(uint64_t done);
  /// Removes the bar; call before anything else is written to stderr.
  void MakeRoom();

 private:
  enum class Shape { kBar, kLines, kNothing };

  Shape shape_;
  std::string_view what_;
  int64_t begun_ms_;
  int64_t drawn_ms_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  bool bar_shown_ = false;
};

}  // namespace sprockets
