// One HTTP request over TCP, byte by byte as a test wants it.
#pragma once

#include <chrono>
#include <string>

#include "tests/harness/wait.h"

namespace sprockets::harness {

struct HttpAnswer {
  int status = 0;  // 0: the other side has closed without an answer
  std::string head;
  std::string body;
};

/// A connection that can be left open, or never read.
class HttpConnection {
 public:
  /// Throws if nobody listens. `receive_bytes`: the size of the kernel's buffer; 0: its own choice.
  explicit HttpConnection(int port, int receive_bytes = 0);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// False: the other side takes no more.
  bool Send(const std::string& bytes) const;
  /// Until it contains `end`, or the other side has closed; with an empty `end` only the latter.
  std::string Read(const std::string& end = "", std::chrono::milliseconds limit = kPatience) const;

 private:
  int fd_ = -1;
};

/// "GET /health".
HttpAnswer Http(int port, const std::string& method_and_target);
HttpAnswer Parse(const std::string& bytes);

}  // namespace sprockets::harness
