// A bytea[] as PostgreSQL's binary format has it, taken apart. Pure.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace sprockets {

/// The elements in order, as views into `bytes`; none where an element is NULL. False: `bytes` is no bytea[] of at most
/// one dimension, and nothing is known of `elements`.
bool ReadByteaArray(std::string_view bytes, std::vector<std::optional<std::string_view>>* elements);

}  // namespace sprockets
