#define _GNU_SOURCE
#include "CPUKernels.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int sealed_file(size_t length) {
  int descriptor = memfd_create("baton-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -errno;
  // Who maps it must not be surprised by a file that has become shorter.
  if (ftruncate(descriptor, (off_t)length) == 0 && fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) return descriptor;
  int wrong = errno;
  close(descriptor);
  return -wrong;
}

/// Copies what is not zero: the file is zero already, and pages that nobody has touched stay so.
static void copy_bytes(unsigned char *to, const unsigned char *from, size_t length) {
  for (size_t start = 0, count; start < length; start += count) {
    count = length - start < 4096 ? length - start : 4096;
    const unsigned char *page = from + start;
    if (page[0] != 0 || memcmp(page, page + 1, count - 1) != 0) memcpy(to + start, page, count);
  }
}

int cpuk_share(void *base, size_t length) {
  int descriptor = sealed_file(length);
  if (descriptor < 0) return descriptor;
  void *copy = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (copy != MAP_FAILED) {
    copy_bytes(copy, base, length);
    if (mremap(copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, base) != MAP_FAILED) return descriptor;
  }
  int wrong = errno;
  if (copy != MAP_FAILED) munmap(copy, length);
  close(descriptor);
  return -wrong;
}

typedef unsigned char bytes16 __attribute__((vector_size(16)));
typedef unsigned char loose16 __attribute__((vector_size(16), aligned(1)));

void cpuk_copy_past_caches(void *to, const void *from, size_t length) {
  unsigned char *out = to;
  const unsigned char *in = from;
  size_t head = (size_t)(-(uintptr_t)out & 63), at = head < length ? head : length;
  memcpy(out, in, at);
  for (; at + 64 <= length; at += 64)
    for (size_t part = 0; part < 64; part += 16) __builtin_nontemporal_store((bytes16)*(const loose16 *)(in + at + part), (bytes16 *)(out + at + part));
  memcpy(out + at, in + at, length - at);
#if defined(__x86_64__)
  __builtin_ia32_sfence(); // such stores are not ordered with those that tell of them
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
