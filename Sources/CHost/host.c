#define _GNU_SOURCE
#include "CHost.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
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

/// struct sched_attr, as far as every Linux since 3.14 knows it. The C library had none until 2.41.
struct scheduling {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

/// Nanoseconds a thread runs at a stretch; 0 names the calling one. Its policy and priority stay; one that is not scheduled by time is left alone.
static void set_slice(pid_t thread, uint64_t nanoseconds) {
  struct scheduling how = {0};
  if (syscall(SYS_sched_getattr, thread, &how, sizeof how, 0) != 0 || (how.policy != SCHED_OTHER && how.policy != SCHED_BATCH)) return;
  how.size = sizeof how;
  how.flags = 0;
  how.runtime = nanoseconds;
  syscall(SYS_sched_setattr, thread, &how, 0);
}

void chost_give_way(void) {
  static _Thread_local int is_done;
  if (is_done) return;
  is_done = 1;
  setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
  set_slice(0, 3000000);
}

void chost_wake_promptly(void) {
  DIR *threads = opendir("/proc/self/task");
  if (threads == NULL) return set_slice(0, 100000);
  for (struct dirent *thread; (thread = readdir(threads)) != NULL;)
    if (thread->d_name[0] != '.') set_slice((pid_t)strtol(thread->d_name, NULL, 10), 100000);
  closedir(threads);
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
