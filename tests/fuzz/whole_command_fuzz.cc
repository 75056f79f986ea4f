// ParseWholeCommand, which reads _raw and _options out of a file that may be damaged: it takes what AppendCommand
// writes, and nothing else.
#include <algorithm>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/resp.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  const std::string_view bytes = fuzz::TextOf(data, size);
  std::vector<std::string_view> words;
  if (ParseWholeCommand(bytes, &words)) {
    std::string written;
    AppendCommand(written, words);
    SPROCKETS_ASSERT(written == bytes);
  }

  const std::vector<std::string_view> lines = fuzz::LinesOf(bytes);
  std::string written;
  AppendCommand(written, lines);
  SPROCKETS_ASSERT(ParseWholeCommand(written, &words));
  SPROCKETS_ASSERT(words == lines);
  return 0;
}
