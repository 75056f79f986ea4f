// A limit on everything that comes from outside, in one place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sprockets {

inline constexpr size_t kMaxStreamNameBytes = 1024;
inline constexpr size_t kMaxFields =
    4096;  // field-value pairs of one event, beside that of its id: the sidecar adds it
inline constexpr size_t kMaxFieldNameBytes = 64 * 1024;
inline constexpr size_t kMaxEventIdBytes = 256;
inline constexpr size_t kMaxCommandArgs = 1024 * 1024;           // beyond it Redis, too, closes the connection
inline constexpr uint64_t kMaxBulkBytes = 512ull * 1024 * 1024;  // Redis's own proto-max-bulk-len
inline constexpr size_t kMaxInlineBytes = 64 * 1024;             // Redis's PROTO_INLINE_MAX_SIZE
inline constexpr size_t kMaxSocketPathBytes = 107;  // sun_path without its NUL; libuv would truncate silently

}  // namespace sprockets
