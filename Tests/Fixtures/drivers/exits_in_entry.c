// SPDX-License-Identifier: Apache-2.0
// Proves that a driver which ends its process at entry ends no host of isolated drivers.
#include "skew.h"

NOTE("exits_in_entry", 1, 0, 1, 0);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  (void)host, (void)out;
  exit(0);
}
