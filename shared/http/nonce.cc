#include "shared/http/nonce.h"

#include <sys/random.h>

#include "shared/base/result.h"
#include "shared/base/text.h"

namespace sprockets {

std::string MakeNonce() {
  char bytes[16];
  SPROCKETS_ASSERT(getrandom(bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes));
  return Base64({bytes, sizeof bytes});
}

}  // namespace sprockets
