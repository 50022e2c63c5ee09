// SPDX-License-Identifier: Apache-2.0
// Step 1: the entry, options, describe. As in the null driver, with options.
#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef DRIVER_NAME
#define DRIVER_NAME "mine"
#endif
#define VERSION "0.1.0"
#define TEXT(literal) {literal, sizeof(literal) - 1}

/// What the host reads from the file before it loads it. It says what the entry says.
BATON_DRIVER_NOTE(DRIVER_NAME, VERSION, BATON_ABI_MAJOR, 0, BATON_ABI_MAJOR, BATON_ABI_MINOR);

/// The contract this driver speaks. It needs nothing newer than the first minor of its major: minors only add.
static const baton_version oldest = {BATON_ABI_MAJOR, 0};
static const baton_version newest = {BATON_ABI_MAJOR, BATON_ABI_MINOR};

baton_host host;

baton_code refuse(baton_status *status, baton_code code, const char *format, ...) {
  if (status == NULL || !BATON_HAS(status, baton_status, message)) return code;
  char words[sizeof status->message];
  int start = snprintf(words, sizeof words, DRIVER_NAME ": ");
  va_list arguments;
  va_start(arguments, format);
  int length = start + vsnprintf(words + start, sizeof words - (size_t)start, format, arguments);
  va_end(arguments);
  status->code = code;
  status->vendor_code = 0;
  status->message_length = length < (int)sizeof words ? (uint32_t)length : (uint32_t)sizeof words - 1;
  memcpy(status->message, words, status->message_length);
  return code;
}

baton_code give(void *out, uint32_t room, void *value, uint32_t size) {
  uint32_t written = room < size ? room : size;
  memcpy(value, &written, sizeof written);
  memcpy(out, value, written);
  return BATON_OK;
}

void parallel(uint64_t count, uint64_t grain, baton_body body, void *user) {
  if (host.parallel_for == NULL || host.parallel_for(host.context, count, grain, body, user) != BATON_OK) body(user, 0, count, 0);
}

// --- Options.

static const baton_option_info options_known[] = {
    {.size = sizeof(baton_option_info), .kind = BATON_OPTION_INTEGER, .name = TEXT("memory"), .default_value = TEXT("4294967296"), .unit = TEXT("bytes"),
     .help = TEXT("Memory the device gives out; imported memory is not counted."), .minimum = 1 << 20, .maximum = 1e15},
    {.size = sizeof(baton_option_info), .kind = BATON_OPTION_CHOICE, .name = TEXT("kv_dtype"), .default_value = TEXT("f32"),
     .choices = TEXT("f32|f16|bf16"), .help = TEXT("What KV is kept in when the host does not say.")},
};

static bool is(baton_string text, const char *word) {
  size_t length = strlen(word);
  return text.length == length && (length == 0 || memcmp(text.data, word, length) == 0);
}

static bool read_memory(baton_string text, uint64_t *out) {
  uint64_t value = 0;
  if (text.length == 0 || text.length > 16) return false;
  for (uint64_t i = 0; i < text.length; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    value = value * 10 + (uint64_t)(text.data[i] - '0');
  }
  *out = value;
  return value >= 1 << 20 && value <= 1000000000000000u;
}

baton_code read_options(const baton_options *options, settings *out, baton_status *status) {
  *out = (settings){.memory = (uint64_t)4 << 30, .kv_dtype = BATON_F32};
  uint32_t count = options == NULL || !BATON_HAS(options, baton_options, items) ? 0 : options->count;
  for (uint32_t i = 0; i < count; i++) {
    baton_string key = options->items[i].key, value = options->items[i].value;
    int shown = value.length < 60 ? (int)value.length : 60;
    if (is(key, "memory")) {
      if (!read_memory(value, &out->memory)) return refuse(status, BATON_INVALID_ARGUMENT, "memory is '%.*s'; give bytes from 1048576", shown, value.data);
    } else if (is(key, "kv_dtype")) {
      out->kv_dtype = is(value, "f32") ? BATON_F32 : is(value, "f16") ? BATON_F16 : is(value, "bf16") ? BATON_BF16 : 0;
      if (out->kv_dtype == 0) return refuse(status, BATON_INVALID_ARGUMENT, "kv_dtype is '%.*s'; give f32, f16 or bf16", shown, value.data);
    } else {
      int length = key.length < 60 ? (int)key.length : 60;
      return refuse(status, BATON_INVALID_ARGUMENT, "option '%.*s' is not known; memory and kv_dtype are", length, key.data);
    }
  }
  return BATON_OK;
}

// --- What the device is. Change it to what yours is.

baton_code give_info(const settings *settings, baton_device_info *out, baton_status *status) {
  if (out == NULL || out->size < sizeof out->size) return refuse(status, BATON_INVALID_ARGUMENT, "info needs a struct with its size");
  baton_device_info info = {
      .engine = BATON_ENGINE_REFERENCE, // SILICON once your device computes
      .name = TEXT("Template"),
      .vendor = TEXT("You"),
      .memory_bytes = settings->memory,
      .weight_dtypes = BATON_DTYPE_BIT(BATON_F32) | BATON_DTYPE_BIT(BATON_F16) | BATON_DTYPE_BIT(BATON_BF16) | BATON_DTYPE_BIT(BATON_Q4_0) |
                       BATON_DTYPE_BIT(BATON_Q4_1) | BATON_DTYPE_BIT(BATON_Q8_0),
      .compute_dtypes = BATON_DTYPE_BIT(BATON_F32),
      .kv_dtypes = BATON_DTYPE_BIT(BATON_F32) | BATON_DTYPE_BIT(BATON_F16) | BATON_DTYPE_BIT(BATON_BF16),
      .kv_dtype = settings->kv_dtype,
      .shape_rule = BATON_SHAPES_DYNAMIC,
      .max_batch_tokens = MAX_TOKENS,
      .max_batch_sequences = MAX_SEQUENCES,
      .kv_block_tokens = BLOCK_TOKENS,
      .queue_count = QUEUES,
      .queue_depth = QUEUE_DEPTH,
      .unit_count = 1,
      .clock = BATON_CLOCK_WALL,
  };
  return give(out, out->size, &info, sizeof info);
}

static baton_code describe(const baton_options *options, baton_device_info *out, baton_status *status) {
  settings settings;
  baton_code code = read_options(options, &settings, status);
  return code == BATON_OK ? give_info(&settings, out, status) : code;
}

// --- The entry.

static const void *get_interface(baton_string id, uint32_t version) {
  if (is(id, BATON_KV_INTERFACE) && version == BATON_KV_VERSION) return &kv_table;
  if (is(id, BATON_COST_INTERFACE) && version == BATON_COST_VERSION) return &cost_table;
  return NULL;
}

static bool newer(baton_version a, baton_version b) { return a.major != b.major ? a.major > b.major : a.minor > b.minor; }

BATON_EXPORT baton_code baton_driver_entry(const baton_host *with, baton_driver *out) {
  if (with == NULL || out == NULL || !BATON_HAS(with, baton_host, abi_max) || !BATON_HAS(out, baton_driver, abi)) return BATON_INVALID_ARGUMENT;
  baton_driver driver = {.size = out->size < sizeof driver ? out->size : (uint32_t)sizeof driver, .abi_min = oldest, .abi_max = newest};
  baton_version chosen = newer(with->abi_max, newest) ? newest : with->abi_max;
  bool agreed = !newer(oldest, chosen) && !newer(with->abi_min, chosen);
  if (agreed) {
    memcpy(&host, with, with->size < sizeof host ? with->size : sizeof host);
    driver.abi = chosen;
    driver.name = (baton_string)TEXT(DRIVER_NAME);
    driver.version = (baton_string)TEXT(VERSION);
    driver.vendor = (baton_string)TEXT("You");
    driver.options = options_known;
    driver.option_count = sizeof options_known / sizeof *options_known;
    driver.device = &device_table;
    driver.buffer = &buffer_table;
    driver.program = &program_table;
    driver.timeline = &timeline_table;
    driver.get_interface = get_interface;
    driver.describe = describe;
  }
  memcpy(out, &driver, driver.size);
  return agreed ? BATON_OK : BATON_FAILED_PRECONDITION;
}
