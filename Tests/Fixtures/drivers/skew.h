// SPDX-License-Identifier: Apache-2.0
// What the drivers of this folder share: a device that opens and closes, and describes itself. Each driver then does one thing of its
// own, wrong or old or new. Built by the tests with plain cc: cc -shared -fPIC -Iinclude -o libbaton-<name>.so <name>.c
#ifndef SKEW_H
#define SKEW_H

#include "baton/baton.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((baton_string){literal, sizeof(literal) - 1})
#define UNUSED __attribute__((unused))

/// The driver's note; with -DWITHOUT_NOTE, none: the library is then as one of contract 1.0.
#ifdef WITHOUT_NOTE
#define NOTE(name, ...) _Static_assert(1, "")
#else
#define NOTE(name, ...) BATON_DRIVER_NOTE(name, "1.0.0", __VA_ARGS__)
#endif

struct baton_device {
  int opened;
};

UNUSED static baton_code skew_describe(const baton_options *options, baton_device_info *out, baton_status *status) {
  (void)options, (void)status;
  baton_device_info info = {.size = sizeof info, .engine = BATON_ENGINE_MODEL, .name = TEXT("Skew"), .vendor = TEXT("Baton tests"),
                            .memory_bytes = 1 << 20, .shape_rule = BATON_SHAPES_DYNAMIC, .max_batch_tokens = 1,
                            .max_batch_sequences = 1, .kv_block_tokens = 16, .queue_count = 1, .queue_depth = 1, .unit_count = 1,
                            .clock = BATON_CLOCK_MODELLED};
  if (out->size < info.size) info.size = out->size;
  memcpy(out, &info, info.size);
  return BATON_OK;
}

UNUSED static baton_code skew_open(const baton_options *options, baton_device **out, baton_status *status) {
  (void)options, (void)status;
  *out = calloc(1, sizeof **out);
  return *out == NULL ? BATON_RESOURCE_EXHAUSTED : BATON_OK;
}

UNUSED static baton_code skew_info(baton_device *device, baton_device_info *out, baton_status *status) {
  (void)device;
  return skew_describe(NULL, out, status);
}

UNUSED static baton_code skew_health(baton_device *device, baton_status *status) {
  (void)device, (void)status;
  return BATON_OK;
}

UNUSED static baton_code skew_quiesce(baton_device *device, uint64_t timeout_ns, baton_status *status) {
  (void)device, (void)timeout_ns, (void)status;
  return BATON_OK;
}

UNUSED static void skew_close(baton_device *device) { free(device); }

UNUSED static const void *skew_get_interface(baton_string id, uint32_t version) {
  (void)id, (void)version;
  return NULL;
}

UNUSED static const baton_device_table skew_device = {sizeof skew_device, 0, skew_open, skew_info, skew_health, skew_quiesce, skew_close};
UNUSED static const baton_buffer_table skew_buffer = {.size = sizeof skew_buffer};
UNUSED static const baton_program_table skew_program = {.size = sizeof skew_program};
UNUSED static const baton_timeline_table skew_timeline = {.size = sizeof skew_timeline};

/// A whole and correct table for a driver of this name and range that chose `abi`.
UNUSED static baton_driver skew_driver(baton_string name, baton_version min, baton_version max, baton_version abi) {
  return (baton_driver){.size = sizeof(baton_driver), .abi_min = min, .abi_max = max, .abi = abi, .name = name, .version = TEXT("1.0.0"),
                        .vendor = TEXT("Baton tests"), .device = &skew_device, .buffer = &skew_buffer, .program = &skew_program,
                        .timeline = &skew_timeline, .get_interface = skew_get_interface, .describe = skew_describe};
}

/// Hands a table over as the contract says: no more bytes than the host has room for.
UNUSED static baton_code skew_give(baton_driver *out, baton_driver driver) {
  if (out->size < driver.size) driver.size = out->size;
  memcpy(out, &driver, driver.size);
  return BATON_OK;
}

/// The newest minor of major 1 that both sides speak, or 0.0.
UNUSED static baton_version skew_choose(const baton_host *host, uint32_t newest_minor) {
  baton_version none = {0, 0}, chosen = {1, newest_minor};
  if (host->abi_min.major > 1 || host->abi_max.major < 1) return none;
  if (host->abi_max.major == 1 && host->abi_max.minor < newest_minor) chosen.minor = host->abi_max.minor;
  return host->abi_min.major == 1 && host->abi_min.minor > chosen.minor ? none : chosen;
}

#endif
