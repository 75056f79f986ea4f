// XINFO's answers: names and values in turn.
#pragma once

#include <string_view>

#include <hiredis/hiredis.h>

namespace sprockets {

/// The value behind this name; null: the answer has none.
const redisReply* FieldOf(const redisReply& answer, std::string_view name);

}  // namespace sprockets
