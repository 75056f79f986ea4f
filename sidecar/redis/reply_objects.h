// Where hiredis puts the replies that it has parsed. Nearly all of ours are one short string, an entry's id: it goes
// into one place that is used again and again; everything else is built on the heap as ever. Loop thread only.
#pragma once

struct redisReplyObjectFunctions;

namespace sprockets {

/// For redisReader::fn. Lives for ever.
redisReplyObjectFunctions* ReplyObjects();

}  // namespace sprockets
