// SPDX-License-Identifier: Apache-2.0
// Proves that a driver that says OK and fills in nothing is refused in those words.
#include "skew.h"

NOTE("says_nothing", 1, 0, 1, 0);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  (void)host;
  out->size = 0;
  return BATON_OK;
}
