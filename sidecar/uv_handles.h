// Owned libuv handles. libuv keeps using a handle's memory until its close callback, so the memory outlives the owner
// by one turn of the loop. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include <uv.h>

#include "shared/base/result.h"

namespace sprockets {

struct UvClose {
  template <typename Handle>
  void operator()(Handle* handle) const {
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
  }
};

template <typename Handle>
using UvHandle = std::unique_ptr<Handle, UvClose>;

/// Calls a function later, once or again and again.
class UvTimer {
 public:
  UvTimer(uv_loop_t* loop, std::function<void()> on_time) : on_time_(std::move(on_time)), handle_(new uv_timer_t) {
    SPROCKETS_ASSERT(uv_timer_init(loop, handle_.get()) == 0);
    handle_->data = this;
  }
  UvTimer(const UvTimer&) = delete;
  UvTimer& operator=(const UvTimer&) = delete;

  void Start(int64_t after_ms, int64_t every_ms = 0) {
    const auto on_timer = [](uv_timer_t* handle) {
      if (handle->data != nullptr) static_cast<UvTimer*>(handle->data)->on_time_();
    };
    SPROCKETS_ASSERT(
        uv_timer_start(handle_.get(), on_timer, static_cast<uint64_t>(after_ms), static_cast<uint64_t>(every_ms)) == 0);
  }
  void Stop() { uv_timer_stop(handle_.get()); }
  bool active() const { return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_.get())) != 0; }

 private:
  std::function<void()> on_time_;
  UvHandle<uv_timer_t> handle_;
};

}  // namespace sprockets
