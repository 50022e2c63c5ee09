// SPDX-License-Identifier: Apache-2.0
// The null driver: every slot of the contract, present and UNIMPLEMENTED. Copy this folder to begin a driver; README.md is the manual.
// What works here works in every driver: negotiation, describe, open, info, health, quiesce, close. Everything else says that it does not.
//
//   cc -std=c11 -O2 -Wall -Wextra -shared -fPIC -Iinclude -o libbaton-null.so driver.c
#include "baton/baton.h"

#include <stdlib.h>
#include <string.h>

#define NAME "null"
#define VERSION "1.0.0"
#define TEXT(literal) {literal, sizeof(literal) - 1}

/// What the host reads from the file before it loads it. It says what the entry says.
BATON_DRIVER_NOTE(NAME, VERSION, 1, 0, BATON_ABI_MAJOR, BATON_ABI_MINOR);

/// The contract this driver speaks. It needs nothing newer than 1.0, and speaks any minor of major 1: minors only add.
static const baton_version oldest = {1, 0};
static const baton_version newest = {BATON_ABI_MAJOR, BATON_ABI_MINOR};

/// The host's services, as far as this driver knows them. Kept from the entry; a newer host's table is longer, an older one's shorter.
static baton_host host;

/// Writes a line to the host's log.
static void say(int32_t level, const char *words) {
  if (host.log != NULL) host.log(host.context, level, (baton_string){words, strlen(words)});
}

// --- Statuses: a code, and words where the caller wants them.

/// Writes a failure. The caller's status may be null, or shorter than the one of these headers: then the words are left out.
static baton_code fail(baton_status *status, baton_code code, const char *words) {
  if (status == NULL || !BATON_HAS(status, baton_status, message)) return code;
  size_t length = strlen(words);
  if (length > sizeof status->message) length = sizeof status->message;
  status->code = code;
  status->vendor_code = 0;
  status->message_length = (uint32_t)length;
  memcpy(status->message, words, length);
  return code;
}

#define UNIMPLEMENTED(call) fail(status, BATON_UNIMPLEMENTED, NAME ": " call " is not implemented; see README.md of this driver")

// --- The device.

struct baton_device {
  int quiesced;
};

/// Options this driver accepts: none. List yours in baton_driver.options, and refuse every key that is not there.
static baton_code check(const baton_options *options, baton_status *status) {
  if (options == NULL || options->count == 0) return BATON_OK;
  return fail(status, BATON_INVALID_ARGUMENT, NAME ": this driver takes no options; remove them from the manifest");
}

/// A device that computes nothing and holds nothing: no memory, no dtypes. Placement refuses it for every stage.
static const baton_device_info description = {
    .size = sizeof description,
    .engine = BATON_ENGINE_MODEL, // there is no silicon, and no reference for anything
    .name = TEXT("Null"),
    .vendor = TEXT("Baton"),
    .memory_bytes = 0,
    .shape_rule = BATON_SHAPES_DYNAMIC,
    .max_batch_tokens = 1,
    .max_batch_sequences = 1,
    .kv_block_tokens = 16,
    .queue_count = 1,
    .queue_depth = 1,
    .unit_count = 1,
    .clock = BATON_CLOCK_MODELLED,
};

/// Copies as much of an info as both sides know, and states how much that is.
static baton_code give_info(baton_device_info *out, baton_status *status) {
  if (out == NULL || out->size < sizeof out->size) return fail(status, BATON_INVALID_ARGUMENT, NAME ": info needs a struct with its size");
  uint32_t room = out->size < sizeof description ? out->size : (uint32_t)sizeof description;
  memcpy(out, &description, room);
  out->size = room;
  return BATON_OK;
}

static baton_code driver_describe(const baton_options *options, baton_device_info *out, baton_status *status) {
  baton_code code = check(options, status);
  return code == BATON_OK ? give_info(out, status) : code;
}

static baton_code device_open(const baton_options *options, baton_device **out, baton_status *status) {
  baton_code code = check(options, status);
  if (code != BATON_OK) return code;
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return fail(status, BATON_RESOURCE_EXHAUSTED, NAME ": no host memory for a device");
  say(BATON_LOG_DEBUG, NAME ": opened a device that computes nothing");
  return BATON_OK;
}

static baton_code device_info(baton_device *device, baton_device_info *out, baton_status *status) {
  (void)device;
  return give_info(out, status);
}

static baton_code device_health(baton_device *device, baton_status *status) {
  (void)device, (void)status;
  return BATON_OK;
}

/// Nothing was ever accepted, so there is nothing to wait for.
static baton_code device_quiesce(baton_device *device, uint64_t timeout_ns, baton_status *status) {
  (void)timeout_ns, (void)status;
  device->quiesced = 1;
  return BATON_OK;
}

static void device_close(baton_device *device) { free(device); }

static const baton_device_table device_table = {
    .size = sizeof device_table,
    .open = device_open,
    .info = device_info,
    .health = device_health,
    .quiesce = device_quiesce,
    .close = device_close,
};

// --- Buffers.

static baton_code buffer_allocate(baton_device *device, uint64_t length, baton_buffer **out, baton_status *status) {
  (void)device, (void)length, (void)out;
  return UNIMPLEMENTED("buffer.allocate");
}

static baton_code buffer_import_memory(baton_device *device, const baton_memory *memory, uint32_t access, baton_buffer **out,
                                       baton_status *status) {
  (void)device, (void)memory, (void)access, (void)out;
  return UNIMPLEMENTED("buffer.import_memory");
}

static baton_code buffer_export_memory(baton_device *device, baton_buffer *buffer, baton_memory_kind kind, baton_memory *out,
                                       baton_status *status) {
  (void)device, (void)buffer, (void)kind, (void)out;
  return UNIMPLEMENTED("buffer.export_memory");
}

static void buffer_release(baton_device *device, baton_buffer *buffer) { (void)device, (void)buffer; }

static baton_code buffer_write(baton_device *device, baton_buffer *buffer, uint64_t offset, const void *source, uint64_t length,
                               baton_status *status) {
  (void)device, (void)buffer, (void)offset, (void)source, (void)length;
  return UNIMPLEMENTED("buffer.write");
}

static baton_code buffer_read(baton_device *device, baton_buffer *buffer, uint64_t offset, void *destination, uint64_t length,
                              baton_status *status) {
  (void)device, (void)buffer, (void)offset, (void)destination, (void)length;
  return UNIMPLEMENTED("buffer.read");
}

static baton_code buffer_map(baton_device *device, baton_buffer *buffer, uint32_t access, void **out, baton_status *status) {
  (void)device, (void)buffer, (void)access, (void)out;
  return UNIMPLEMENTED("buffer.map");
}

static void buffer_unmap(baton_device *device, baton_buffer *buffer) { (void)device, (void)buffer; }

static baton_code buffer_copy(baton_device *to_device, baton_buffer *to, uint64_t to_offset, baton_device *from_device, baton_buffer *from,
                              uint64_t from_offset, uint64_t length, const baton_sync *sync, baton_status *status) {
  (void)to_device, (void)to, (void)to_offset, (void)from_device, (void)from, (void)from_offset, (void)length, (void)sync;
  return UNIMPLEMENTED("buffer.copy");
}

static const baton_buffer_table buffer_table = {
    .size = sizeof buffer_table,
    .allocate = buffer_allocate,
    .import_memory = buffer_import_memory,
    .export_memory = buffer_export_memory,
    .release = buffer_release,
    .write = buffer_write,
    .read = buffer_read,
    .map = buffer_map,
    .unmap = buffer_unmap,
    .copy = buffer_copy,
};

// --- Programs.

static baton_code program_compile(baton_device *device, const baton_program_desc *desc, baton_program **out, baton_status *status) {
  (void)device, (void)desc, (void)out;
  return UNIMPLEMENTED("program.compile");
}

static baton_code program_info(baton_device *device, baton_program *program, baton_program_info *out, baton_status *status) {
  (void)device, (void)program, (void)out;
  return UNIMPLEMENTED("program.info");
}

static void program_release(baton_device *device, baton_program *program) { (void)device, (void)program; }

static baton_code program_submit(baton_device *device, baton_program *program, const baton_batch *batch, const baton_sync *sync,
                                 baton_status *status) {
  (void)program, (void)batch, (void)sync;
  if (device->quiesced) return fail(status, BATON_FAILED_PRECONDITION, NAME ": the device is quiesced and takes no more work");
  return UNIMPLEMENTED("program.submit");
}

static const baton_program_table program_table = {
    .size = sizeof program_table,
    .compile = program_compile,
    .info = program_info,
    .release = program_release,
    .submit = program_submit,
};

// --- Timelines.

static baton_code timeline_create(baton_device *device, uint64_t value, baton_timeline **out, baton_status *status) {
  (void)device, (void)value, (void)out;
  return UNIMPLEMENTED("timeline.create");
}

static void timeline_release(baton_device *device, baton_timeline *timeline) { (void)device, (void)timeline; }

static baton_code timeline_query(baton_device *device, baton_timeline *timeline, uint64_t value, baton_event *out, baton_status *status) {
  (void)device, (void)timeline, (void)value, (void)out;
  return UNIMPLEMENTED("timeline.query");
}

static baton_code timeline_wait(baton_device *device, baton_timeline *timeline, uint64_t value, uint64_t timeout_ns, baton_event *out,
                                baton_status *status) {
  (void)device, (void)timeline, (void)value, (void)timeout_ns, (void)out;
  return UNIMPLEMENTED("timeline.wait");
}

static baton_code timeline_signal(baton_device *device, baton_timeline *timeline, uint64_t value, baton_status *status) {
  (void)device, (void)timeline, (void)value;
  return UNIMPLEMENTED("timeline.signal");
}

static baton_code timeline_fail(baton_device *device, baton_timeline *timeline, const baton_status *reason, baton_status *status) {
  (void)device, (void)timeline, (void)reason;
  return UNIMPLEMENTED("timeline.fail");
}

static baton_code timeline_notify(baton_device *device, baton_timeline *timeline, uint64_t value, baton_callback callback, void *user,
                                  baton_status *status) {
  (void)device, (void)timeline, (void)value, (void)callback, (void)user;
  return UNIMPLEMENTED("timeline.notify");
}

static const baton_timeline_table timeline_table = {
    .size = sizeof timeline_table,
    .create = timeline_create,
    .release = timeline_release,
    .query = timeline_query,
    .wait = timeline_wait,
    .signal = timeline_signal,
    .fail = timeline_fail,
    .notify = timeline_notify,
};

// --- The interface "baton.kv". Return null for it in get_interface if your device holds no KV.

static baton_code kv_layouts(const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out,
                             uint32_t capacity, uint32_t *count, baton_status *status) {
  (void)options, (void)desc, (void)importing, (void)out, (void)capacity;
  *count = 0;
  return UNIMPLEMENTED("kv.layouts");
}

static baton_code kv_create(baton_device *device, const baton_kv_pool_desc *desc, baton_kv_pool **out, baton_status *status) {
  (void)device, (void)desc, (void)out;
  return UNIMPLEMENTED("kv.create");
}

static void kv_release(baton_device *device, baton_kv_pool *pool) { (void)device, (void)pool; }

static baton_code kv_share(baton_device *device, baton_kv_pool *pool, baton_memory_kind kind, baton_memory *memory, baton_kv_layout *layout,
                           baton_status *status) {
  (void)device, (void)pool, (void)kind, (void)memory, (void)layout;
  return UNIMPLEMENTED("kv.share");
}

static baton_code kv_adopt(baton_device *device, const baton_kv_pool_desc *desc, const baton_memory *memory, const baton_kv_layout *layout,
                           baton_kv_pool **out, baton_status *status) {
  (void)device, (void)desc, (void)memory, (void)layout, (void)out;
  return UNIMPLEMENTED("kv.adopt");
}

static baton_code kv_export_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                                  const baton_memory *memory, const baton_sync *sync, baton_status *status) {
  (void)device, (void)pool, (void)range, (void)layout, (void)memory, (void)sync;
  return UNIMPLEMENTED("kv.export_range");
}

static baton_code kv_import_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                                  const baton_memory *memory, const baton_sync *sync, baton_status *status) {
  (void)device, (void)pool, (void)range, (void)layout, (void)memory, (void)sync;
  return UNIMPLEMENTED("kv.import_range");
}

static baton_code kv_copy_blocks(baton_device *device, baton_kv_pool *pool, const uint32_t *from, const uint32_t *to, uint32_t count,
                                 const baton_sync *sync, baton_status *status) {
  (void)device, (void)pool, (void)from, (void)to, (void)count, (void)sync;
  return UNIMPLEMENTED("kv.copy_blocks");
}

static const baton_kv_table kv_table = {
    .size = sizeof kv_table,
    .layouts = kv_layouts,
    .create = kv_create,
    .release = kv_release,
    .share = kv_share,
    .adopt = kv_adopt,
    .export_range = kv_export_range,
    .import_range = kv_import_range,
    .copy_blocks = kv_copy_blocks,
};

// --- The interface "baton.cost".

static baton_code cost_estimate(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out,
                                baton_status *status) {
  (void)options, (void)desc, (void)work, (void)out;
  return UNIMPLEMENTED("cost.estimate");
}

static baton_code cost_memory(const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype,
                              baton_memory_need *out, baton_status *status) {
  (void)options, (void)desc, (void)kv_tokens, (void)kv_dtype, (void)out;
  return UNIMPLEMENTED("cost.memory");
}

static const baton_cost_table cost_table = {
    .size = sizeof cost_table,
    .estimate = cost_estimate,
    .memory = cost_memory,
};

// --- The entry.

static int is(baton_string text, const char *word) {
  size_t length = strlen(word);
  return text.length == length && memcmp(text.data, word, length) == 0;
}

static const void *driver_get_interface(baton_string id, uint32_t version) {
  if (is(id, BATON_KV_INTERFACE) && version == BATON_KV_VERSION) return &kv_table;
  if (is(id, BATON_COST_INTERFACE) && version == BATON_COST_VERSION) return &cost_table;
  return NULL;
}

static int newer(baton_version a, baton_version b) { return a.major != b.major ? a.major > b.major : a.minor > b.minor; }

/// The newest version inside both ranges. False when there is none.
static int negotiate(const baton_host *with, baton_version *chosen) {
  *chosen = newer(with->abi_max, newest) ? newest : with->abi_max;
  return !newer(oldest, *chosen) && !newer(with->abi_min, *chosen);
}

BATON_EXPORT baton_code baton_driver_entry(const baton_host *with, baton_driver *out) {
  if (with == NULL || out == NULL || !BATON_HAS(with, baton_host, abi_max) || !BATON_HAS(out, baton_driver, abi)) return BATON_INVALID_ARGUMENT;
  baton_driver driver = {
      .size = out->size < sizeof driver ? out->size : (uint32_t)sizeof driver,
      .abi_min = oldest,
      .abi_max = newest,
  };
  int agreed = negotiate(with, &driver.abi);
  if (agreed) {
    memcpy(&host, with, with->size < sizeof host ? with->size : sizeof host);
    driver.name = (baton_string)TEXT(NAME);
    driver.version = (baton_string)TEXT(VERSION);
    driver.vendor = (baton_string)TEXT("Baton");
    driver.device = &device_table;
    driver.buffer = &buffer_table;
    driver.program = &program_table;
    driver.timeline = &timeline_table;
    driver.get_interface = driver_get_interface;
    driver.describe = driver_describe;
  } else {
    driver.abi = (baton_version){0, 0};
  }
  memcpy(out, &driver, driver.size);
  return agreed ? BATON_OK : BATON_FAILED_PRECONDITION;
}
