// Bytes on their way to a socket: appended behind, taken from the front, as much at a time as the socket takes. Once it
// has grown to what is usual it allocates nothing, and each byte is moved at most twice, however the socket takes them.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sprockets {

class OutputBuffer {
 public:
  void Append(std::string_view bytes) {
    if (taken_ > bytes_.size() / 2) {
      bytes_.erase(0, taken_);
      taken_ = 0;
    }
    bytes_.append(bytes);
  }
  std::string_view front() const { return std::string_view(bytes_).substr(taken_); }
  size_t size() const { return bytes_.size() - taken_; }
  bool empty() const { return size() == 0; }
  /// At most size().
  void Take(size_t bytes) {
    taken_ += bytes;
    if (taken_ == bytes_.size()) Clear();
  }
  void Clear() {
    bytes_.clear();
    taken_ = 0;
    if (bytes_.capacity() > kKeptBytes) bytes_.shrink_to_fit();
  }

 private:
  static constexpr size_t kKeptBytes = 1 << 20;

  std::string bytes_;
  size_t taken_ = 0;  // of bytes_
};

}  // namespace sprockets
