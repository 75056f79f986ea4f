// A word that nobody can guess, for a Content-Security-Policy. Any thread.
#pragma once

#include <string>

namespace sprockets {

/// 128 random bits in base64.
std::string MakeNonce();

}  // namespace sprockets
