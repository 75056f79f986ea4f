// The Unix socket that clients connect to: made with its final mode, taken over from a dead predecessor, never from a
// live one. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>

#include <uv.h>

#include "shared/base/result.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class Listener {
 public:
  using OnAccept = std::function<void(UvHandle<uv_pipe_t>)>;

  /// kBusy: another program answers there. kIo names the path and the reason.
  static Result<std::unique_ptr<Listener>> Open(uv_loop_t* loop, const std::string& path, int mode, OnAccept on_accept);

  ~Listener() { Close(); }
  /// Stops accepting and removes the socket file, if it is still the one that was made here.
  void Close();

 private:
  Listener() = default;
  static void OnConnection(uv_stream_t* server, int status);

  uv_loop_t* loop_ = nullptr;
  UvHandle<uv_pipe_t> pipe_;
  OnAccept on_accept_;
  std::string path_;
  dev_t device_ = 0;  // with inode_: which file it is
  ino_t inode_ = 0;
};

}  // namespace sprockets
