#include "replayer/postgres/bytea_array.h"

#include <string>

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using Elements = std::vector<std::optional<std::string_view>>;

std::string BytesOf(std::initializer_list<int32_t> numbers) {
  std::string bytes;
  for (const int32_t number : numbers) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(static_cast<uint32_t>(number) >> shift);
  }
  return bytes;
}

constexpr int32_t kBytea = 17;

TEST_CASE("a bytea[] is taken apart: any byte, empty elements, NULLs") {
  Elements elements;
  const std::string nul("a\0b", 3);
  std::string bytes = BytesOf({1, 1, kBytea, 3, 1, 3}) + nul;
  bytes += BytesOf({0, -1});
  REQUIRE(ReadByteaArray(bytes, &elements));
  CHECK(elements == Elements{nul, "", std::nullopt});
  REQUIRE(ReadByteaArray(BytesOf({0, 0, kBytea}), &elements));
  CHECK(elements.empty());
}

TEST_CASE("what is no bytea[] of one dimension is refused, however it is cut") {
  Elements elements;
  const std::string whole = BytesOf({1, 0, kBytea, 2, 1, 1}) + "x" + BytesOf({2}) + "yz";
  REQUIRE(ReadByteaArray(whole, &elements));
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_FALSE(ReadByteaArray(std::string_view(whole).substr(0, size), &elements));
  }
  CHECK_FALSE(ReadByteaArray(whole + "z", &elements));
  CHECK_FALSE(ReadByteaArray(BytesOf({0, 0, 25}), &elements));                        // text[]
  CHECK_FALSE(ReadByteaArray(BytesOf({2, 0, kBytea, 1, 1, 1, 1, 0}), &elements));     // two dimensions
  CHECK_FALSE(ReadByteaArray(BytesOf({1, 0, kBytea, -1, 1}), &elements));             // fewer than none
  CHECK_FALSE(ReadByteaArray(BytesOf({1, 0, kBytea, 1, 1, 0x7fffffff}), &elements));  // longer than all
  CHECK_FALSE(ReadByteaArray(BytesOf({-1, 0, kBytea, 0, 1}), &elements));
}

}  // namespace
}  // namespace sprockets
