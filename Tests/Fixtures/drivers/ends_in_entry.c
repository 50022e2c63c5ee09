// SPDX-License-Identifier: Apache-2.0
// Proves that a driver that is not known is tried in a process of its own first: its entry ends the process it runs in, by a crash, or
// with -DEXITS by exit(), or with -DHANGS never returns.
#include "skew.h"

#include <unistd.h>

NOTE("ends_in_entry", 1, 0, 1, 0);

static volatile int never;

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  (void)host, (void)out;
#if defined(EXITS)
  exit(5);
#elif defined(HANGS)
  while (!never) pause();
#else
  *(volatile int *)(uintptr_t)(16 + never) = 1;
#endif
  return BATON_INTERNAL;
}
