// What Swift's view of the C library leaves out: the processor's spin hint, processor affinity, secure mode.
#ifndef CHOST_H
#define CHOST_H

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

/// Names the calling thread for debuggers and traces; at most 15 bytes count.
void chost_name_thread(const char *name);

#endif
