// SPDX-License-Identifier: Apache-2.0
// Proves that the host trusts no size past its own room: the table says it is 4,000,000 bytes long, and so do the tables it names.
#include "skew.h"

NOTE("lying_size", 1, 0, 1, 0);

enum { LIE = 4000000 };

static const baton_device_table device = {LIE, 0, skew_open, skew_info, skew_health, skew_quiesce, skew_close};

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_driver driver = skew_driver(TEXT("lying_size"), (baton_version){1, 0}, (baton_version){1, 0}, skew_choose(host, 0));
  driver.device = &device;
  skew_give(out, driver);
  out->size = LIE;
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
