#include "tests/faults/edge/injected_fault.h"

#include "tests/harness/process.h"

namespace sprockets::harness {

std::vector<std::string> InjectedFault::Prefix(const std::filesystem::path& folder,
                                               const std::filesystem::path& report) const {
  std::filesystem::remove(report);
  return {"env",
          "LD_PRELOAD=" FAULT_INJECTOR,
          "ASAN_OPTIONS=verify_asan_link_order=0",
          "FAULT_FOLDER=" + folder.string(),
          "FAULT_REPORT=" + report.string(),
          "FAULT_CALLS=" + calls,
          "FAULT_DO=" + deed,
          "FAULT_ARMED=" + armed.string(),
          "FAULT_BURST=" + std::to_string(burst),
          "FAULT_AT=" + std::to_string(at),
          "FAULT_TIMES=" + std::to_string(times)};
}

std::string ReadReport(const std::filesystem::path& report) {
  std::string text = ReadWholeFile(report);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace sprockets::harness
