// supervise PROGRAM ARG…: runs a test program so that neither its processes nor its files outlive it.
#include <cstdio>
#include <unistd.h>

#include "tests/harness/supervise.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: supervise PROGRAM [ARGUMENT…]\n");
    return 2;
  }
  return sprockets::harness::RunSupervised([argv] {
    execvp(argv[1], argv + 1);
    std::perror(argv[1]);
    return 127;
  });
}
