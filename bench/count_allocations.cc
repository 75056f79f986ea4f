// Counts what a program allocates, its libraries included: linked into a benchmark, or loaded before any program by
// LD_PRELOAD. The count stands in the first 8 bytes of the file that SPROCKETS_ALLOCATIONS names, if it names one, so
// that others can read it while the program runs.
#include "bench/count_allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

// What glibc's own functions are called beside their usual names.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace sprockets::bench {
namespace {

std::atomic<uint64_t> unshared{0};
std::atomic<std::atomic<uint64_t>*> count{&unshared};

void Count() {
  count.load(std::memory_order_relaxed)->fetch_add(1, std::memory_order_relaxed);
}

[[gnu::constructor]] void ShareCount() {
  const char* const path = std::getenv("SPROCKETS_ALLOCATIONS");
  if (path == nullptr) return;
  const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, sizeof unshared) != 0) std::abort();
  void* const shared = mmap(nullptr, sizeof unshared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) std::abort();
  close(file);
  count = static_cast<std::atomic<uint64_t>*>(shared);
}

}  // namespace

uint64_t AllocationsSoFar() {
  return count.load()->load();
}

}  // namespace sprockets::bench

extern "C" {

void* malloc(size_t size) {
  sprockets::bench::Count();
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  sprockets::bench::Count();
  return __libc_calloc(count, size);
}

void* realloc(void* memory, size_t size) {
  sprockets::bench::Count();
  return __libc_realloc(memory, size);
}

void* memalign(size_t alignment, size_t size) {
  sprockets::bench::Count();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
}
