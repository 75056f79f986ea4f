// sprockets-replayer: moves spilled events from disk into Redis, and proves that it did.
#include <exception>
#include <iostream>

#include "replayer/commands/commands.h"

int main(int argc, char** argv) {
  try {
    const int exit_code = sprockets::RunProgram(argc, argv, std::cout);
    std::cout.flush();
    return exit_code;
  } catch (const std::exception& failure) {
    std::cerr << "sprockets-replayer: " << failure.what() << "\n";
    return 4;
  }
}
