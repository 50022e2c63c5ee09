#define _GNU_SOURCE
#include "CPUKernels.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int cpuk_shared_memory(size_t length) {
  int descriptor = memfd_create("baton-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -errno;
  // Who maps it must not be surprised by a file that has become shorter.
  if (ftruncate(descriptor, (off_t)length) == 0 && fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) return descriptor;
  int wrong = errno;
  close(descriptor);
  return -wrong;
}
