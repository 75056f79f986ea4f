// Bytes that are appended and taken in any order and any portions leave an output buffer as they came.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/core/output_buffer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sprockets::OutputBuffer buffer;
  std::string expected;
  // Pairs: what to do, and how much of it.
  for (size_t at = 0; at + 1 < size; at += 2) {
    const size_t amount = size_t{data[at + 1]} << (data[at] & 7);
    if ((data[at] & 8) != 0) {
      const std::string bytes(amount, static_cast<char>(at));
      buffer.Append(bytes);
      expected += bytes;
    } else {
      const size_t taken = std::min(amount, expected.size());
      buffer.Take(taken);
      expected.erase(0, taken);
    }
    if (buffer.size() != expected.size() || buffer.front() != expected) std::abort();
  }
  return 0;
}
