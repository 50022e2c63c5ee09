// What Swift's view of the C library leaves out: the processor's spin hint, processor affinity, secure mode, and whole small files.
#ifndef CHOST_H
#define CHOST_H

#include <stddef.h>

/// Tells the processor that this thread is spinning.
static inline void chost_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/// Processors this process may run on; at least 1.
int chost_processors(void);

/// 1 when the process runs with elevated privilege (AT_SECURE), so that its environment is not to be trusted.
int chost_is_elevated(void);

/// Reads the whole file at `path`, which may be a pipe with a writer; one that nobody writes to is empty, not waited for.
/// Gives its bytes, at most `limit`, in `*bytes` (free them), and their count; a larger file gives `limit + 1` and may give no bytes;
/// otherwise the negated errno (EISDIR for a folder).
long chost_read_file(const char *path, size_t limit, unsigned char **bytes);

/// The version of Landlock that the kernel offers; 0 when it has none or has it switched off.
int chost_landlock_version(void);

/// 1 when the kernel filters system calls (seccomp with a filter), else 0.
int chost_has_seccomp(void);

/// 1 when the kernel makes memfds that can be sealed, else 0.
int chost_has_memfd(void);

/// Names the calling thread for debuggers and traces; at most 15 bytes count.
void chost_name_thread(const char *name);

#endif
