#define _GNU_SOURCE
#include "CHost.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int chost_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

int chost_is_elevated(void) { return getauxval(AT_SECURE) != 0; }

void chost_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

void chost_give_way(void) {
  static _Thread_local int is_done;
  if (is_done) return;
  is_done = 1;
  setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
}

static int wait_readable(int descriptor) {
  struct pollfd pending = {.fd = descriptor, .events = POLLIN};
  while (poll(&pending, 1, -1) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

/// Fills `room` as far as the file goes; the count, or the negated errno.
static long read_up_to(int descriptor, unsigned char *bytes, size_t room) {
  size_t count = 0;
  while (count < room) {
    ssize_t step = read(descriptor, bytes + count, room - count);
    if (step == 0) break;
    if (step > 0) { count += (size_t)step; continue; }
    if (errno == EINTR) continue;
    int wrong = errno == EAGAIN ? wait_readable(descriptor) : errno;
    if (wrong != 0) return -wrong;
  }
  return (long)count;
}

long chost_read_file(const char *path, size_t limit, unsigned char **bytes) {
  struct stat status;
  *bytes = NULL;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return -errno;
  long count = fstat(descriptor, &status) != 0 ? -errno : S_ISDIR(status.st_mode) ? -EISDIR : 0;
  // One byte past what the file says it has shows its end; files that say nothing are read by the limit.
  size_t room = S_ISREG(status.st_mode) && status.st_size > 0 && (size_t)status.st_size < limit ? (size_t)status.st_size + 1 : limit + 1;
  if (count == 0 && S_ISREG(status.st_mode) && (size_t)status.st_size > limit) count = (long)limit + 1;
  else if (count == 0) {
    *bytes = malloc(room);
    count = *bytes == NULL ? -ENOMEM : read_up_to(descriptor, *bytes, room);
  }
  close(descriptor);
  if (count < 0) { free(*bytes); *bytes = NULL; }
  return count;
}

int chost_landlock_version(void) {
  // landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION); the same number on every architecture.
  long version = syscall(444, NULL, 0, 1u);
  return version > 0 ? (int)version : 0;
}

// Setting a filter that is not there: EFAULT says that the kernel looked for it.
int chost_has_seccomp(void) { return prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, NULL) == -1 && errno == EFAULT; }

int chost_has_memfd(void) {
  int descriptor = memfd_create("baton", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return 0;
  close(descriptor);
  return 1;
}
