// What stands in the address of an HTTP request: percent-encoding and parameters. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sprockets {

/// "a%2Fb" is "a/b". The result may hold any byte, NUL too. None: a percent sign without two hex digits behind it.
std::optional<std::string> PercentDecode(std::string_view text);

/// "a=1&b=x+y": names and values, decoded; a plus is a blank. None: it cannot be decoded, or a name comes twice.
std::optional<std::map<std::string, std::string>> ParseQuery(std::string_view query);

/// Does If-None-Match name this entity tag, which has its quotes? Weak ones count as well: it is asked for a GET.
bool NamesTag(std::string_view if_none_match, std::string_view tag);

}  // namespace sprockets
