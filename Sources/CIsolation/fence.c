#define _GNU_SOURCE
#include "CIsolation.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Landlock, whose header older systems lack: the three calls and two structs, as the kernel documents them.
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT_SELF 446
#define FS_EXECUTE (1ull << 0)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_ALL_V1 ((1ull << 13) - 1)

struct ruleset {
  uint64_t files;
  uint64_t network;
};
struct __attribute__((packed)) path_rule {
  uint64_t allowed;
  int32_t parent;
};

static int allow(int ruleset, const char *path) {
  int descriptor = open(path, O_PATH | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0) return 0; // what is not there cannot be read
  int kept = fstat(descriptor, &status);
  struct path_rule rule = {.allowed = FS_EXECUTE | FS_READ_FILE, .parent = descriptor};
  if (kept == 0 && S_ISDIR(status.st_mode)) rule.allowed |= FS_READ_DIR;
  if (kept == 0) kept = (int)syscall(LANDLOCK_ADD_RULE, ruleset, 1 /* path beneath */, &rule, 0);
  close(descriptor);
  return kept;
}

/// Everything of files is forbidden but reading what is listed; where the kernel has it (version 4) TCP too.
static int landlock(const char *const *readable) {
  long version = syscall(LANDLOCK_CREATE_RULESET, NULL, 0, 1 /* version */);
  if (version < 1) return 0;
  struct ruleset rules = {.files = FS_ALL_V1};
  if (version >= 2) rules.files |= 1ull << 13; // refer
  if (version >= 3) rules.files |= 1ull << 14; // truncate
  if (version >= 5) rules.files |= 1ull << 15; // ioctl of devices
  if (version >= 4) rules.network = 3;         // bind and connect
  int ruleset = (int)syscall(LANDLOCK_CREATE_RULESET, &rules, version >= 4 ? sizeof rules : sizeof rules.files, 0);
  if (ruleset < 0) return 0;
  int done = 1;
  for (const char *const *path = readable; path != NULL && *path != NULL; path++)
    if (allow(ruleset, *path) != 0) done = 0;
  if (done && syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0) done = 0;
  close(ruleset);
  return done;
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define DENY(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define REFUSE(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), DENY(EPERM)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

/// Refused calls give EPERM, so that a driver can say what it was denied. `files`: opening for writing is refused here too.
static int seccomp(int files) {
#ifndef ARCHITECTURE
  (void)files;
  return 0;
#else
  struct sock_filter filter[] = {
      LOAD(arch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      LOAD(nr),
#if defined(__x86_64__)
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), // the x32 numbering
      DENY(ENOSYS),
#endif
      // Network.
      REFUSE(socket), REFUSE(connect), REFUSE(bind), REFUSE(listen), REFUSE(accept), REFUSE(accept4), REFUSE(sendto),
      // Programs and processes. Threads are made with clone; clone3, whose flags a filter cannot see, is as if it were not there.
      REFUSE(execve), REFUSE(execveat),
#if defined(__x86_64__)
      REFUSE(fork), REFUSE(vfork),
#endif
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1), DENY(ENOSYS),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4), LOAD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0), DENY(EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      // Others' memory, descriptors and lives.
      REFUSE(ptrace), REFUSE(process_vm_readv), REFUSE(process_vm_writev), REFUSE(pidfd_open), REFUSE(pidfd_getfd), REFUSE(pidfd_send_signal),
      REFUSE(tkill), REFUSE(kcmp), REFUSE(process_madvise),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_kill, 0, 4), LOAD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 1, 0), DENY(EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_tgkill, 0, 4), LOAD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 1, 0), DENY(EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      // The kernel itself.
      REFUSE(io_uring_setup), REFUSE(bpf), REFUSE(perf_event_open), REFUSE(userfaultfd), REFUSE(mount), REFUSE(umount2), REFUSE(pivot_root),
      REFUSE(chroot), REFUSE(unshare), REFUSE(setns), REFUSE(init_module), REFUSE(finit_module), REFUSE(delete_module), REFUSE(kexec_load),
      REFUSE(reboot), REFUSE(swapon), REFUSE(swapoff), REFUSE(add_key), REFUSE(request_key), REFUSE(keyctl), REFUSE(open_by_handle_at),
      REFUSE(setuid), REFUSE(setgid), REFUSE(setreuid), REFUSE(setregid), REFUSE(setresuid), REFUSE(setresgid), REFUSE(capset),
      REFUSE(fchmod), REFUSE(fchown), REFUSE(fchmodat), REFUSE(fchownat), REFUSE(mknodat), REFUSE(setxattr), REFUSE(fsetxattr),
      // Limits can be asked for and not set.
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_setrlimit, 0, 1), DENY(EPERM),
      // Where Landlock is missing: no opening for writing, no changing of folders.
      BPF_STMT(BPF_LD | BPF_IMM, (uint32_t)files), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      LOAD(nr),
#if defined(__x86_64__)
      REFUSE(creat), REFUSE(mkdir), REFUSE(unlink), REFUSE(rmdir), REFUSE(rename), REFUSE(link), REFUSE(symlink), REFUSE(truncate),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_open, 0, 4), LOAD(args[1]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1), DENY(EACCES), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
#endif
      REFUSE(mkdirat), REFUSE(unlinkat), REFUSE(renameat2), REFUSE(linkat), REFUSE(symlinkat),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat2, 0, 1), DENY(ENOSYS),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 4), LOAD(args[2]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1), DENY(EACCES), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
#endif
}

static int limit(int what, uint64_t value) {
  struct rlimit bound = {.rlim_cur = value, .rlim_max = value};
  return value == 0 || setrlimit((__rlimit_resource_t)what, &bound) == 0;
}

/// The first `count` processors of those it may run on.
static int narrow(uint32_t count) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&chosen);
  if (count == 0) return 1;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  for (int index = 0; index < CPU_SETSIZE && count > 0; index++)
    if (CPU_ISSET(index, &allowed)) {
      CPU_SET(index, &chosen);
      count--;
    }
  return sched_setaffinity(0, sizeof chosen, &chosen) == 0;
}

int cisolation_limit(const cisolation_fence *fence) {
  struct rlimit none = {0, 0};
  int limited = limit(RLIMIT_DATA, fence->data_bytes) && limit(RLIMIT_CPU, fence->cpu_seconds) && narrow(fence->processors);
  return limited && setrlimit(RLIMIT_CORE, &none) == 0 ? CISOLATION_LIMITS : 0;
}

int cisolation_enclose(const cisolation_fence *fence) {
  int done = cisolation_limit(fence);
  // Both of the below need it: nothing this process starts may gain rights by being started.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return done;
  if (landlock(fence->readable)) done |= CISOLATION_LANDLOCK;
  if (seccomp(!(done & CISOLATION_LANDLOCK))) done |= CISOLATION_SECCOMP;
  return done;
}
