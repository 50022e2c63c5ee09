// SPDX-License-Identifier: Apache-2.0
// Proves that a driver of a later minor loads under this host: it speaks 1.0 to 1.9, its tables and its info are longer than the host knows,
// and it writes no more of them than the host has room for. The slots past the host's end stop the process if anyone calls them.
#include "skew.h"

NOTE("future_minor", 1, 0, 1, 9);

static void of_1_9(void) { abort(); }

static const struct {
  baton_device_table known;
  void (*later[4])(void);
} device = {{sizeof device, 0, skew_open, skew_info, skew_health, skew_quiesce, skew_close}, {of_1_9, of_1_9, of_1_9, of_1_9}};

typedef struct {
  baton_driver known;
  void (*later[4])(void);
} driver_1_9;

typedef struct {
  baton_device_info known;
  uint64_t later[4];
} info_1_9;

static baton_code describe(const baton_options *options, baton_device_info *out, baton_status *status) {
  info_1_9 info = {.known.size = sizeof info.known, .later = {9, 9, 9, 9}};
  uint32_t room = out->size < sizeof info ? out->size : (uint32_t)sizeof info;
  baton_code code = skew_describe(options, &info.known, status);
  info.known.size = room;
  memcpy(out, &info, room);
  return code;
}

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_version chosen = skew_choose(host, 9);
  driver_1_9 driver = {skew_driver(TEXT("future_minor"), (baton_version){1, 0}, (baton_version){1, 9}, chosen), {of_1_9, of_1_9, of_1_9, of_1_9}};
  driver.known.device = &device.known;
  driver.known.describe = describe;
  driver.known.size = out->size < sizeof driver ? out->size : (uint32_t)sizeof driver;
  memcpy(out, &driver, driver.known.size);
  return chosen.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
