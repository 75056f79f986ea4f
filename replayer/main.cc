// sprockets-replayer: moves spilled events from disk into Redis, and proves that it did.
#include <exception>
#include <iostream>

#include "replayer/command.h"

int main(int argc, char** argv) {
  using sprockets::ExitCode;
  try {
    const ExitCode exit_code = sprockets::RunProgram(argc, argv, std::cout, std::cerr);
    std::cout.flush();
    return static_cast<int>(exit_code);
  } catch (const std::exception& failure) {
    std::cerr << "sprockets-replayer: " << failure.what() << "\n";
    return static_cast<int>(ExitCode::kRefused);
  }
}
