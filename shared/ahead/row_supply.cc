#include "shared/ahead/row_supply.h"

#include <algorithm>
#include <utility>

#include "shared/base/result.h"

namespace sprockets {

namespace {

void DropIn(std::deque<JournalRow>& rows, const MovedRows& moved, size_t* bytes) {
  std::erase_if(rows, [&](const JournalRow& row) {
    if (IsCurrent(row, moved)) return false;
    *bytes -= row.bytes();
    return true;
  });
}

}  // namespace

bool IsCurrent(const JournalRow& row, const MovedRows& moved) {
  const auto found = moved.find(row.origin);
  return found == moved.end() || found->second == row.ticket;
}

void RowSupply::Add(JournalRow row) {
  SPROCKETS_ASSERT(row.id > committed_);
  committed_ = row.id;
  fresh_bytes_ += row.bytes();
  fresh_.push_back(std::move(row));
}

void RowSupply::AddPage(JournalPage page, StreamId up_to, const MovedRows& moved) {
  SPROCKETS_ASSERT(page_.empty());
  for (JournalRow& row : page.rows) {
    if (row.id <= page_until_) continue;  // landed meanwhile
    page_until_ = row.id;
    if (!IsCurrent(row, moved)) continue;
    page_bytes_ += row.bytes();
    page_.push_back(std::move(row));
  }
  if (page.is_last) page_until_ = std::max(page_until_, up_to);
}

const JournalRow* RowSupply::Next(size_t at) const {
  if (at < page_.size()) return &page_[at];
  at -= page_.size();
  return page_until_ >= fresh_after_ && at < fresh_.size() ? &fresh_[at] : nullptr;
}

void RowSupply::Pass(StreamId landed) {
  while (!page_.empty() && page_.front().id <= landed) {
    page_bytes_ -= page_.front().bytes();
    page_.pop_front();
  }
  while (!fresh_.empty() && fresh_.front().id <= landed) {
    fresh_after_ = fresh_.front().id;
    fresh_bytes_ -= fresh_.front().bytes();
    fresh_.pop_front();
  }
  page_until_ = std::max(page_until_, landed);
}

void RowSupply::GoBack(StreamId landed) {
  page_.clear();
  page_bytes_ = 0;
  page_until_ = landed;
}

void RowSupply::DropMoved(const MovedRows& moved) {
  DropIn(page_, moved, &page_bytes_);
  DropIn(fresh_, moved, &fresh_bytes_);
}

void RowSupply::ForgetFresh() {
  fresh_after_ = committed_;
  fresh_.clear();
  fresh_bytes_ = 0;
}

}  // namespace sprockets
