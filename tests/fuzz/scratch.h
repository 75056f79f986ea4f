// A folder for the files of one fuzzer, in memory where there is such a place, and what must not fail there.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

#include "shared/base/result.h"

namespace sprockets::fuzz {

class ScratchFolder {
 public:
  ScratchFolder() {
    const bool has_memory = access("/dev/shm", W_OK) == 0;
    std::string name = (has_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) /
                       "sprockets-fuzz-XXXXXX";
    SPROCKETS_ASSERT(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The value of what can only fail by a bug of ours.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) std::fprintf(stderr, "%s\n", result.error().message.c_str());
  SPROCKETS_ASSERT(result.ok());
  return std::move(result).value();
}

inline void Must(const Status& status) {
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  SPROCKETS_ASSERT(status.ok());
}

inline std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void WriteBytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  SPROCKETS_ASSERT(out.good());
}

}  // namespace sprockets::fuzz
