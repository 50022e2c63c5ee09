// SPDX-License-Identifier: Apache-2.0
// Proves that the host reads no further than the driver's own size: the table ends before `timeline`, so it has no timelines, interfaces
// or describe, and the device's table ends before `quiesce`. What lies past either end is rubbish, which must not be used.
#include "skew.h"

NOTE("short_table", 1, 0, 1, 0);

static baton_device_table device = {offsetof(baton_device_table, quiesce), 0, skew_open, skew_info, skew_health, 0, 0};

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  const uint32_t end = offsetof(baton_driver, timeline);
  baton_driver driver = skew_driver(TEXT("short_table"), (baton_version){1, 0}, (baton_version){1, 0}, skew_choose(host, 0));
  uint32_t room = out->size < sizeof driver ? out->size : (uint32_t)sizeof driver;
  memset((char *)&device + device.size, 0x55, sizeof device - device.size);
  driver.device = &device;
  driver.size = end;
  memset((char *)&driver + end, 0x55, sizeof driver - end);
  memcpy(out, &driver, room);
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
