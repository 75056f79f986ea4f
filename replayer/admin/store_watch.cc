#include "replayer/admin/store_watch.h"

#include <utility>

#include "shared/base/clock.h"

namespace sprockets {

StoreWatch::StoreWatch(std::string name, Ask ask)
    : ask_(std::move(ask)),
      figures_{.name = std::move(name), .why = {}, .changed = {WallClockMs()}, .asked_ms = SteadyClockMs()},
      repeating_([this](const std::stop_token& stop) { Take(ask_(stop)); }) {}

StoreFigures StoreWatch::Figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void StoreWatch::Take(const Status& answer) {
  const std::lock_guard lock(mutex_);
  if (answer.ok() != figures_.answers) figures_.changed = {WallClockMs()};
  figures_.is_asked = true;
  figures_.answers = answer.ok();
  figures_.refuses = !answer.ok() && IsRefusal(answer.error().code);
  figures_.why = answer.ok() ? "" : answer.error().message;
  figures_.asked_ms = SteadyClockMs();
}

Status PostgresProbe::Ask(const std::stop_token& stop) {
  if (!connection_) {
    ASSIGN_OR_RETURN(Postgres connected, Postgres::Connect(url_, 0));
    connection_.emplace(std::move(connected));
    connection_->StopWhen([stop] { return stop.stop_requested(); });
  }
  const Status answer = connection_->Execute("SELECT 1");
  if (!answer.ok()) connection_.reset();
  return answer;
}

}  // namespace sprockets
