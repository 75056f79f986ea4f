// Reading the text of Redis's INFO. Pure.
#pragma once

#include <string_view>

namespace sprockets {

/// The value of `field:` in the text of INFO; empty if it is not there.
std::string_view InfoField(std::string_view info, std::string_view field);

}  // namespace sprockets
