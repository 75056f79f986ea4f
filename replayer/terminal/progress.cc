// Progress lines and bars.
#include "replayer/terminal/progress.h"

#include <algorithm>
#include <mutex>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/text.h"

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

/// The bars at the bottom of the terminal, which are of several threads. Any thread.
class Board {
 public:
  void Show(const Progress* whose, std::string bar) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(whose_.begin(), whose_.end(), whose);
    const auto at = found - whose_.begin();
    if (found == whose_.end()) {
      whose_.push_back(whose);
      bars_.emplace_back();
    }
    bars_[static_cast<size_t>(at)] = std::move(bar);
    Redraw();
  }

  void Remove(const Progress* whose) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(whose_.begin(), whose_.end(), whose);
    bars_.erase(bars_.begin() + (found - whose_.begin()));
    whose_.erase(found);
    Redraw();
  }

 private:
  void Redraw() {
    std::fputs(RedrawText(shown_, bars_).c_str(), stderr);
    std::fflush(stderr);
    shown_ = bars_.size();
  }

  std::mutex mutex_;
  std::vector<const Progress*> whose_;  // each of the bars
  std::vector<std::string> bars_;
  size_t shown_ = 0;
};

/// There is one terminal.
Board& TheBoard() {
  static Board board;
  return board;
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

std::string RedrawText(size_t shown, std::span<const std::string> bars) {
  std::string text = "\r";
  if (shown > 1) text += "\033[" + std::to_string(shown - 1) + "A";
  for (size_t i = 0; i < bars.size(); ++i) text += (i == 0 ? "" : "\033[K\n") + bars[i];
  return text + "\033[J";
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
  TheBoard().Show(this, ProgressBar(what_, done_, total_, now - begun_ms_, TerminalColumns()));
  bar_shown_ = true;
}

void Progress::MakeRoom() {
  if (!bar_shown_) return;
  TheBoard().Remove(this);
  bar_shown_ = false;
}

}  // namespace sprockets
