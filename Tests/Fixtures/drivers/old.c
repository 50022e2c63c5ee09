// SPDX-License-Identifier: Apache-2.0
// Proves that a driver built when the contract was 1.0 loads under every later minor: it speaks 1.0 alone, and its tables have the sizes
// of 1.0, in numbers, whatever the headers it is built with today say.
#include "skew.h"

NOTE("old", 1, 0, 1, 0);

enum { DRIVER_1_0 = 136, DEVICE_1_0 = 48, BUFFER_1_0 = 80, PROGRAM_1_0 = 40, TIMELINE_1_0 = 64 };

static const baton_device_table device = {DEVICE_1_0, 0, skew_open, skew_info, skew_health, skew_quiesce, skew_close};
static const baton_buffer_table buffer = {.size = BUFFER_1_0};
static const baton_program_table program = {.size = PROGRAM_1_0};
static const baton_timeline_table timeline = {.size = TIMELINE_1_0};

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  const baton_version only = {1, 0};
  baton_version chosen = skew_choose(host, 0);
  baton_driver driver = skew_driver(TEXT("old"), only, only, chosen);
  driver.size = DRIVER_1_0;
  driver.device = &device;
  driver.buffer = &buffer;
  driver.program = &program;
  driver.timeline = &timeline;
  skew_give(out, driver);
  return chosen.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
