#include "tests/harness/temp_dir.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <sys/stat.h>
#include <system_error>

namespace sprockets::harness {

TempDir::TempDir() {
  const char* parent = std::getenv("TMPDIR");
  std::string name = std::string(parent != nullptr ? parent : "/tmp") + "/spr-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void OpenTheWayTo(const std::filesystem::path& folder) {
  for (auto on_the_way = folder.parent_path(); on_the_way.filename().string().starts_with("spr-");
       on_the_way = on_the_way.parent_path()) {
    if (chmod(on_the_way.c_str(), 0711) != 0)
      throw std::system_error(errno, std::generic_category(), on_the_way.string());
  }
}

}  // namespace sprockets::harness
