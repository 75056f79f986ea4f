// What a program of ours does before anything else. Main thread.
#pragma once

namespace sprockets {

/// Standard input, output and error are open (on /dev/null where the caller closed them, or the first file or socket
/// that is opened would get log lines), and a peer that hung up or a file size limit is an error of that call, not a
/// signal that kills.
void PrepareProcess();

}  // namespace sprockets
