// SPDX-License-Identifier: Apache-2.0
// Proves that a library without the entry is refused by name: it exports a function, and not that one.
#include "skew.h"

NOTE("no_entry", 1, 0, 1, 0);

BATON_EXPORT int baton_driver_start(void);
BATON_EXPORT int baton_driver_start(void) { return 0; }
