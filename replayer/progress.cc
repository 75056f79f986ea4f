// Progress lines and bars.
#include "replayer/progress.h"

#include <algorithm>
#include <sys/ioctl.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/text.h"

namespace sprockets {
namespace {

constexpr int64_t kBarEveryMs = 100;
constexpr int64_t kLineEveryMs = 5000;
constexpr size_t kBarWidth = 24;
constexpr size_t kUsualColumns = 80;

size_t TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualColumns;
  return size.ws_col;
}

}  // namespace

std::string ProgressText(std::string_view what, uint64_t done, uint64_t total, int64_t elapsed_ms) {
  std::string text = std::string(what) + ": " + FormatCount(done);
  if (total > 0) text += " of " + FormatCount(total);
  const uint64_t elapsed = static_cast<uint64_t>(std::max<int64_t>(elapsed_ms, 1));
  const uint64_t rate = done * 1000 / elapsed;
  text += ", " + FormatCount(rate) + "/s";
  if (total > done && rate > 0)
    text += ", " + FormatDuration(static_cast<int64_t>((total - done) * 1000 / rate)) + " left";
  return text;
}

std::string ProgressBar(std::string_view what, uint64_t done, uint64_t total, int64_t elapsed_ms, size_t width) {
  std::string text = ProgressText(what, done, total, elapsed_ms);
  if (total > 0) {
    const size_t filled = static_cast<size_t>(std::min(done, total) * kBarWidth / total);
    text.insert(0, "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ");
  }
  // A line that wraps could not be taken back.
  if (text.size() >= width) text.resize(width > 0 ? width - 1 : 0);
  return text;
}

Progress::Progress(ProgressStyle style, std::string_view what)
    : shape_(style == ProgressStyle::kNone                                  ? Shape::kNothing
             : style == ProgressStyle::kPlain || isatty(STDERR_FILENO) == 0 ? Shape::kLines
                                                                            : Shape::kBar),
      what_(what),
      begun_ms_(SteadyClockMs()),
      drawn_ms_(begun_ms_) {}

void Progress::Advance(uint64_t done) {
  done_ = done;
  const int64_t now = SteadyClockMs();
  if (shape_ == Shape::kNothing || now - drawn_ms_ < (shape_ == Shape::kBar ? kBarEveryMs : kLineEveryMs)) return;
  drawn_ms_ = now;
  if (shape_ == Shape::kLines) {
    std::fprintf(stderr, "%s\n", ProgressText(what_, done_, total_, now - begun_ms_).c_str());
    return;
  }
  std::fprintf(stderr, "\r%s\033[K", ProgressBar(what_, done_, total_, now - begun_ms_, TerminalColumns()).c_str());
  std::fflush(stderr);
  bar_shown_ = true;
}

void Progress::MakeRoom() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  bar_shown_ = false;
}

}  // namespace sprockets
