// SPDX-License-Identifier: Apache-2.0
// Proves that a null slot is "unsupported" and never a crash: all tables are there at full size, and most of their slots are null,
// get_interface among them. Open, info, close and describe work.
#include "skew.h"

NOTE("null_slots", 1, 0, 1, 0);

static const baton_device_table device = {.size = sizeof device, .open = skew_open, .info = skew_info, .close = skew_close};

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_driver driver = skew_driver(TEXT("null_slots"), (baton_version){1, 0}, (baton_version){1, 0}, skew_choose(host, 0));
  driver.device = &device;
  driver.get_interface = NULL;
  skew_give(out, driver);
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
