// What Swift's view of the C library leaves out: the processor's spin hint, processor affinity, secure mode,
// whole small files; and what wants vectors: a checksum.
#ifndef CHOST_H
#define CHOST_H

#include <stddef.h>
#include <stdint.h>

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

/// A 64-bit checksum of `count` bytes (null when it is 0): eight lanes add, for each stripe of 64 bytes, the product of the halves of each
/// word keyed by its place, and the word itself to the lane beside; lanes and tail are folded in. The same on every processor.
uint64_t chost_checksum(const void *bytes, size_t count);

/// The version of Landlock that the kernel offers; 0 when it has none or has it switched off.
int chost_landlock_version(void);

/// 1 when the kernel filters system calls (seccomp with a filter), else 0.
int chost_has_seccomp(void);

/// 1 when the kernel makes memfds that can be sealed, else 0.
int chost_has_memfd(void);

/// Names the calling thread for debuggers and traces; at most 15 bytes count.
void chost_name_thread(const char *name);

/// Gives way: the calling thread, which computes for long, runs at a lower priority (nice 10) than those that have little to do, such as to
/// sample a token or to write to a socket, and in slices of 3 ms. Once for each thread; later calls cost nothing.
void chost_give_way(void);

/// Has every thread that the process has, and will have but for those that give way, run in slices of 0.1 ms: one that wakes then takes the
/// processor at once from one with longer slices. Otherwise Linux lets the other run until the next tick of its timer, up to 4 ms, in spite
/// of its priority (kernel/sched/fair.c: RUN_TO_PARITY, PREEMPT_SHORT). A system that knows no slices of threads, Linux before 6.12 among
/// them, goes on as it did.
void chost_wake_promptly(void);

#endif
