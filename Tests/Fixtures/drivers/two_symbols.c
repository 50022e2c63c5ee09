// SPDX-License-Identifier: Apache-2.0
// Proves that a driver which exports more than its entry is found out: `baton_two_symbols_extra` is for everybody to see.
#include "skew.h"

NOTE("two_symbols", 1, 0, 1, 0);

BATON_EXPORT int baton_two_symbols_extra(void);
BATON_EXPORT int baton_two_symbols_extra(void) { return 2; }

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_driver driver = skew_driver(TEXT("two_symbols"), (baton_version){1, 0}, (baton_version){1, 0}, skew_choose(host, 0));
  skew_give(out, driver);
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
