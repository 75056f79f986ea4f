// A queue in a ring: once it has grown to its usual length it allocates nothing, where std::deque allocates a block for
// every few items that pass. Pure.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace sprockets {

/// `KeptItems`: room for so many is kept when the last item has left, a power of two. An item that leaves is replaced
/// by Item{}.
template <typename Item, size_t KeptItems>
class Fifo {
  static_assert(KeptItems > 0 && (KeptItems & (KeptItems - 1)) == 0);

 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Item& operator[](size_t at) { return ring_[(first_ + at) & (ring_.size() - 1)]; }
  const Item& operator[](size_t at) const { return ring_[(first_ + at) & (ring_.size() - 1)]; }
  Item& front() { return (*this)[0]; }
  const Item& front() const { return (*this)[0]; }
  Item& back() { return (*this)[size_ - 1]; }
  const Item& back() const { return (*this)[size_ - 1]; }

  void push_back(Item item) {
    if (size_ == ring_.size()) Grow();
    (*this)[size_] = std::move(item);
    ++size_;
  }

  Item pop_front() {
    Item item = std::exchange(front(), Item{});
    first_ = (first_ + 1) & (ring_.size() - 1);
    if (--size_ == 0) clear();
    return item;
  }

  void clear() {
    for (; size_ > 0; --size_) back() = Item{};
    first_ = 0;
    if (ring_.size() > KeptItems) ring_ = std::vector<Item>(KeptItems);
  }

 private:
  void Grow() {
    std::vector<Item> larger(ring_.empty() ? 8 : ring_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    ring_ = std::move(larger);
    first_ = 0;
  }

  std::vector<Item> ring_;  // its size is a power of two, or nothing
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace sprockets
