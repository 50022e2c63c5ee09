// SPDX-License-Identifier: Apache-2.0
// Broken drivers, one for each rule of the contract: a good one (the template of `baton driver new --lang c`), whose tables are wrapped so that
// exactly one rule is broken. The file's own name chooses the defect: libbaton-mutant-d27.so breaks D27, and libbaton-mutant-d127.so breaks it in a
// second way. Without such a number nothing is broken. See Mutants.swift for how it is built: the good driver's entry is called good_entry there.
#define _GNU_SOURCE
#include "device.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef baton_driver_entry
BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out);
baton_code good_entry(const baton_host *host, baton_driver *out);

#ifdef SECOND_SYMBOL
BATON_EXPORT int baton_second_symbol(void);
BATON_EXPORT int baton_second_symbol(void) { return 3; }
#endif

static int defect = -1;

/// What this library's file name says is broken.
static int find_defect(void) {
  Dl_info info;
  if (dladdr((void *)&find_defect, &info) == 0 || info.dli_fname == NULL) return 0;
  // A host may open the file first and load what it has opened: the name is then where /proc leads.
  char name[4096] = {0};
  if (strncmp(info.dli_fname, "/proc/", 6) != 0 || readlink(info.dli_fname, name, sizeof name - 1) < 0) strncpy(name, info.dli_fname, sizeof name - 1);
  const char *number = strstr(name, "-mutant-d");
  return number == NULL ? 0 : atoi(number + strlen("-mutant-d"));
}

static baton_driver good;
static baton_device_table device;
static baton_buffer_table buffer;
static baton_program_table program;
static baton_timeline_table timeline;
static baton_kv_table kv;
static baton_cost_table cost;

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

// --- Statuses, entry, devices: D1 to D17.

static const void *wrong_interface(baton_string id, uint32_t version) {
  if (defect == 7 && version == 999) version = 1; // any version will do
  const void *table = good.get_interface(id, version);
  return table == &kv_table ? (const void *)&kv : table == &cost_table ? (const void *)&cost : table;
}

static baton_code wrong_describe(const baton_options *options, baton_device_info *out, baton_status *status) {
  if (defect == 9) { // does not say which option
    baton_code code = good.describe(options, out, NULL);
    return code == BATON_OK ? code : refuse(status, code, "an option is wrong");
  }
  baton_code code = good.describe(options, out, status);
  if (code != BATON_OK) return code;
  if (defect == 8 && BATON_HAS(out, baton_device_info, max_batch_sequences)) out->max_batch_sequences++;
  if (defect == 11 && BATON_HAS(out, baton_device_info, name)) out->name = (baton_string){NULL, 0};
  return code;
}

static baton_code wrong_info(baton_device *of, baton_device_info *out, baton_status *status) {
  uint32_t room = out->size;
  baton_code code = device_table.info(of, out, status);
  if (defect == 10 && room < sizeof *out) memset((char *)out + room, 0, 8);
  if (defect == 11 && BATON_HAS(out, baton_device_info, name)) out->name = (baton_string){NULL, 0};
  return code;
}

static baton_code wrong_health(baton_device *of, baton_status *status) {
  return defect == 12 ? refuse(status, BATON_UNAVAILABLE, "the device is never well") : device_table.health(of, status);
}

static baton_code wrong_quiesce(baton_device *of, uint64_t timeout_ns, baton_status *status) {
  if (defect == 14 && timeout_ns >= 1000000000) { // does not wait
    lock();
    of->refuses = true;
    unlock();
    return BATON_OK;
  }
  baton_code code = device_table.quiesce(of, timeout_ns, status);
  return defect == 15 && code == BATON_DEADLINE_EXCEEDED ? BATON_OK : code;
}

static void wrong_close(baton_device *of) {
  if (defect == 16 && of == NULL) abort();
  device_table.close(of);
}

// --- Buffers: D18 to D26.

static baton_code wrong_allocate(baton_device *of, uint64_t length, baton_buffer **out, baton_status *status) {
  if (defect == 20 && length == 0) return refuse(status, BATON_OUT_OF_RANGE, "0 bytes");
  if (defect == 2 && length == 0 && status != NULL && status->size < sizeof *status) memset((char *)status + status->size, 0, 4);
  baton_code code = buffer_table.allocate(of, length, out, status);
  if (defect == 18 && code == BATON_OK && length % 2 == 1) (*out)->base[length - 1] = 1; // the tail is not zeroed
  return code;
}

static baton_code wrong_import(baton_device *of, const baton_memory *memory, uint32_t access, baton_buffer **out, baton_status *status) {
  baton_memory changed = *memory;
  if (defect == 22) changed.offset = 0;
  return buffer_table.import_memory(of, &changed, access, out, status);
}

static baton_code wrong_export(baton_device *of, baton_buffer *from, baton_memory_kind kind, baton_memory *out, baton_status *status) {
  baton_code code = buffer_table.export_memory(of, from, kind, out, status);
  if (defect == 25 && code == BATON_OK) out->length++;
  return code;
}

static void wrong_release(baton_device *of, baton_buffer *from) {
  if (defect == 21 && from != NULL && from->charged > 1 << 20) { // large ones are never counted back
    lock();
    of->used += from->charged;
    unlock();
  }
  buffer_table.release(of, from);
}

static baton_code wrong_read(baton_device *of, baton_buffer *from, uint64_t offset, void *to, uint64_t length, baton_status *status) {
  if (defect == 19 && offset + length < offset) return BATON_OK; // the sum has overflowed
  return buffer_table.read(of, from, offset, to, length, status);
}

static baton_code wrong_map(baton_device *of, baton_buffer *from, uint32_t access, void **out, baton_status *status) {
  baton_code code = buffer_table.map(of, from, access, out, status);
  if (defect != 23 || code != BATON_OK) return code;
  void *copy = malloc(from->length); // a copy, which nobody writes back
  memcpy(copy, from->base, from->length);
  *out = copy;
  return code;
}

static baton_code wrong_copy(baton_device *to_device, baton_buffer *to, uint64_t to_offset, baton_device *from_device, baton_buffer *from, uint64_t from_offset,
                             uint64_t length, const baton_sync *sync, baton_status *status) {
  if (defect == 24) length -= length > 1;
  return buffer_table.copy(to_device, to, to_offset, from_device, from, from_offset, length, sync, status);
}

// --- Timelines: D1, D26 to D34.

static void wrong_timeline_release(baton_device *of, baton_timeline *line) {
  if (defect == 26 && line == NULL) abort();
  timeline_table.release(of, line);
}

static baton_code wrong_query(baton_device *of, baton_timeline *line, uint64_t value, baton_event *out, baton_status *status) {
  baton_code code = timeline_table.query(of, line, value, out, status);
  if (defect == 29 && code != BATON_OK) return refuse(status, code, "it failed"); // the reason's words are lost
  if (defect == 31 && out->end_ns > 0) out->start_ns = out->end_ns + 1;
  return code;
}

static baton_code wrong_wait(baton_device *of, baton_timeline *line, uint64_t value, uint64_t timeout_ns, baton_event *out, baton_status *status) {
  if (defect == 28 && timeout_ns < 100000000) timeout_ns = 0; // gives up too soon
  baton_code code = timeline_table.wait(of, line, value, timeout_ns, out, status);
  return defect == 33 && code == BATON_ABORTED ? BATON_INTERNAL : code;
}

static baton_code wrong_signal(baton_device *of, baton_timeline *line, uint64_t value, baton_status *status) {
  if (defect == 27 && value == 0) return BATON_OK;
  return timeline_table.signal(of, line, value, defect == 1 ? NULL : status);
}

static baton_code wrong_notify(baton_device *of, baton_timeline *line, uint64_t value, baton_callback callback, void *user, baton_status *status) {
  baton_code code = timeline_table.notify(of, line, value, callback, user, status);
  if (defect == 30 && timeline_value(line) >= value) callback(user, &(baton_event){.size = sizeof(baton_event), .value = value}); // once more
  return code;
}

// --- Operations: D35 to D45, D50 to D52.

baton_code __real_operate(const run *run, const baton_op *op, work *work, baton_status *status);
baton_code __wrap_operate(const run *run, const baton_op *op, work *work, baton_status *status);

static const uint32_t *kept_tokens; // of a batch that its caller may have overwritten by now

/// What is wrong with the operation itself.
static void spoil(baton_op *op, const run *run) {
  bool model = run->program->op_count > 1; // attention by itself is held to the reference by D39
  bool row = op->input_count == 2 && run->program->tensors[op->inputs[1]].role == BATON_TENSOR_WEIGHT;
  if (defect == 36 && op->kind == BATON_OP_RMS_NORM) op->epsilon = 0;
  if (defect == 37 && op->kind == BATON_OP_LINEAR) op->input_count = 2;
  if (defect == 38 && op->kind == BATON_OP_ROPE) op->rope_scale = 1;
  if (defect == 39 && op->kind == BATON_OP_ATTENTION) op->window = 0;
  if (defect == 139 && op->kind == BATON_OP_ATTENTION) op->cap = 0;
  if (defect == 40 && op->kind == BATON_OP_SWIGLU) op->inputs[0] = op->inputs[1];
  if (defect == 41 && op->kind == BATON_OP_ADD && row) op->kind = BATON_OP_MUL;
  if (defect == 42 && op->kind == BATON_OP_MUL && row) op->kind = BATON_OP_ADD;
  if (defect == 43 && op->kind == BATON_OP_SCALE && op->scale < 0) op->scale = -op->scale;
  if (defect == 44 && op->kind == BATON_OP_SOFTCAP) op->cap *= 1.01f;
  if (defect == 51 && model && op->kind == BATON_OP_ATTENTION && run->tables[0] != 0) op->window = op->window > 0 ? op->window : 32; // sees the first two blocks of a table at most
  if (defect == 52 && model && op->kind == BATON_OP_ATTENTION && run->positions[0] > 0 && run->token_count > 8) op->window = run->token_count; // forgets earlier chunks
}

/// What is wrong with what is run.
static void spoil_run(run *run, const baton_op *op) {
  if (defect == 56 && op->kind == BATON_OP_EMBED && kept_tokens != NULL) memcpy(run->tokens, kept_tokens, run->token_count * sizeof *run->tokens);
  for (uint32_t t = 0; defect == 50 && run->program->op_count > 1 && t < run->token_count; t++) run->sequences[t] = smaller(run->sequences[t], 1); // the third is taken for the second
  for (uint32_t r = 0; defect == 45 && op->kind == BATON_OP_SELECT_ROWS && r < run->row_count / 2; r++) {
    if (run->rows[0] == 0) break;
    uint32_t last = run->rows[run->row_count - 1 - r];
    run->rows[run->row_count - 1 - r] = run->rows[r];
    run->rows[r] = last;
  }
}

baton_code __wrap_operate(const run *run, const baton_op *op, work *work, baton_status *status) {
  baton_op spoilt = *op;
  spoil(&spoilt, run);
  struct run other = *run;
  spoil_run(&other, op);
  baton_code code = __real_operate(&other, &spoilt, work, status);
  const tensor *out = &run->program->tensors[op->output];
  if (defect == 115 && __atomic_load_n(&work->device->cancelled, __ATOMIC_RELAXED)) return refuse(status, BATON_INTERNAL, "the batch was cut off"); // as it ran
  // The tail of a row, which no fixed shape has.
  if (defect == 137 && op->kind == BATON_OP_LINEAR && run->program->tensors[op->inputs[0]].columns % 16 != 0) run->places[op->output][0] += 1;
  for (uint64_t t = 0; defect == 35 && op->kind == BATON_OP_EMBED && t < run->token_count; t++) run->places[op->output][t * out->columns] += 1;
  return code;
}

// --- Programs: D13, D46 to D57.

static baton_code wrong_compile(baton_device *of, const baton_program_desc *desc, baton_program **out, baton_status *status) {
  if (defect == 46 && desc->ops->size != sizeof(baton_op)) return refuse(status, BATON_INVALID_ARGUMENT, "an operation has another size");
  baton_code code = program_table.compile(of, desc, out, status);
  return defect == 47 && code == BATON_INVALID_ARGUMENT ? BATON_INTERNAL : code;
}

static void *sleeper(void *user) {
  while (true) pause();
  return user;
}

static void wrong_program_release(baton_device *of, baton_program *from) {
  static void *volatile lost; // keeps the compiler from seeing that nobody wants it
  if (defect == 57 && from != NULL && (lost = malloc(128 << 10)) != NULL) memset(lost, 1, 128 << 10);
  if (defect == 157 && from != NULL) lost = (void *)(intptr_t)dup(0);
  pthread_t thread;
  if (defect == 257 && from != NULL) pthread_create(&thread, NULL, sleeper, NULL);
  program_table.release(of, from);
}

/// What a wrong driver answers in place of `code`.
static baton_code wrong_code(baton_code code, const baton_batch *batch) {
  if (defect == 13 && code == BATON_FAILED_PRECONDITION) return BATON_UNAVAILABLE;
  if (defect == 48 && code == BATON_INVALID_ARGUMENT && batch->row_count > 0 && batch->rows[0] >= batch->token_count) return BATON_OUT_OF_RANGE;
  if (defect == 49 && code == BATON_OUT_OF_RANGE) return BATON_INVALID_ARGUMENT;
  if (defect == 54 && code == BATON_RESOURCE_EXHAUSTED) return BATON_UNAVAILABLE;
  return code;
}

static baton_code wrong_submit(baton_device *of, baton_program *what, const baton_batch *batch, const baton_sync *sync, baton_status *status) {
  static pthread_t first;
  static bool seen;
  baton_sync changed = *sync;
  if (!seen) first = pthread_self();
  seen = true;
  if (defect == 55 && !pthread_equal(first, pthread_self())) return refuse(status, BATON_INTERNAL, "submits are taken from the first thread alone");
  if (defect == 32 && changed.wait_count == 2) changed.wait_count = 1; // waits for the first alone
  if (defect == 34) changed.layer_base++;
  kept_tokens = defect == 56 && sync->wait_count > 0 ? batch->tokens : NULL;
  baton_code code = program_table.submit(of, what, batch, &changed, status);
  if (defect == 53 && code == BATON_OK && batch->token_count > 32 && sync->signal_count > 0) // submit runs the batch
    timeline_table.wait(of, sync->signals[0].timeline, sync->signals[0].value, UINT64_MAX, NULL, NULL);
  return wrong_code(code, batch);
}

// --- KV: D58 to D65.

static baton_code wrong_layouts(const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out, uint32_t capacity,
                                uint32_t *count, baton_status *status) {
  if (defect == 59 && capacity == 1) capacity = 2;
  if (defect == 159 && capacity > 1 && out->size > sizeof *out) out->size = sizeof *out; // as far apart as its own are
  return kv_table.layouts(options, desc, importing, out, capacity, count, status);
}

static baton_code wrong_create(baton_device *of, const baton_kv_pool_desc *desc, baton_kv_pool **out, baton_status *status) {
  baton_code code = kv_table.create(of, desc, out, status);
  if (defect == 58 && code == BATON_OK && desc->block_count > 15) pool_row(*out, desc->first_layer, 15, 0, 0, 0)[1] = 0x3F;
  if (defect == 65 && code == BATON_INVALID_ARGUMENT && desc->dtype == BATON_Q4_0) return BATON_UNIMPLEMENTED;
  return code;
}

static baton_code wrong_adopt(baton_device *of, const baton_kv_pool_desc *desc, const baton_memory *memory, const baton_kv_layout *layout, baton_kv_pool **out,
                              baton_status *status) {
  if (defect != 62) return kv_table.adopt(of, desc, memory, layout, out, status);
  baton_code code = kv_table.create(of, desc, out, status); // a copy, which does not follow
  if (code == BATON_OK) memcpy((*out)->base, (const void *)(uintptr_t)(memory->address + memory->offset), (*out)->bytes);
  return code;
}

/// Takes heads for tokens and tokens for heads: what goes out comes back whole, and lies where nobody expects it.
static baton_kv_layout turned(const baton_kv_layout *layout) {
  baton_kv_layout other = *layout;
  for (int i = 0; defect == 60 && i < 6; i++)
    other.axes[i] = layout->axes[i] == BATON_AXIS_HEAD ? BATON_AXIS_TOKEN : layout->axes[i] == BATON_AXIS_TOKEN ? BATON_AXIS_HEAD : layout->axes[i];
  return other;
}

static baton_code wrong_export_range(baton_device *of, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                                     const baton_memory *memory, const baton_sync *sync, baton_status *status) {
  baton_kv_layout other = turned(layout);
  baton_kv_range longer = *range;
  if (defect == 160 && range->layer_count == 1) longer.token_count = UINT32_MAX; // what was there before goes out too
  baton_code code = kv_table.export_range(of, pool, &longer, &other, memory, sync, status);
  return defect == 64 && code == BATON_OUT_OF_RANGE ? BATON_INVALID_ARGUMENT : code;
}

static baton_code wrong_import_range(baton_device *of, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                                     const baton_memory *memory, const baton_sync *sync, baton_status *status) {
  baton_kv_layout other = turned(layout);
  baton_kv_range shorter = *range;
  if (defect == 61 && shorter.token_count > 0) shorter.token_count--; // the last token is left out
  return kv_table.import_range(of, pool, &shorter, &other, memory, sync, status);
}

static baton_code wrong_copy_blocks(baton_device *of, baton_kv_pool *pool, const uint32_t *from, const uint32_t *to, uint32_t count, const baton_sync *sync,
                                    baton_status *status) {
  return kv_table.copy_blocks(of, pool, from, to, defect == 63 && count > 1 ? count - 1 : count, sync, status);
}

// --- Cost: D66 and D67.

static baton_code wrong_estimate(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out, baton_status *status) {
  baton_code code = cost_table.estimate(options, desc, work, out, status);
  if (defect == 66 && code == BATON_OK && work->token_count > 0) out->time_ns = 1000000000 / work->token_count;
  return code;
}

static baton_code wrong_memory(const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype, baton_memory_need *out,
                               baton_status *status) {
  baton_code code = cost_table.memory(options, desc, kv_tokens, kv_dtype, out, status);
  if (defect == 67 && code == BATON_OK) out->fits = 1;
  return code;
}

// --- The entry: D4, D5, D6, D17, D68.

static void wrap(void) {
  device = (baton_device_table){sizeof device, 0, device_table.open, wrong_info, wrong_health, wrong_quiesce, wrong_close};
  buffer = (baton_buffer_table){sizeof buffer, 0, wrong_allocate, wrong_import, wrong_export, wrong_release, buffer_table.write, wrong_read, wrong_map,
                                buffer_table.unmap, wrong_copy};
  program = (baton_program_table){sizeof program, 0, wrong_compile, program_table.info, wrong_program_release, wrong_submit};
  timeline = (baton_timeline_table){sizeof timeline, 0, timeline_table.create, wrong_timeline_release, wrong_query, wrong_wait, wrong_signal,
                                    timeline_table.fail, wrong_notify};
  kv = (baton_kv_table){sizeof kv, 0, wrong_layouts, wrong_create, kv_table.release, kv_table.share, wrong_adopt, wrong_export_range, wrong_import_range,
                        wrong_copy_blocks};
  cost = (baton_cost_table){sizeof cost, 0, wrong_estimate, wrong_memory};
}

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  static int entries;
  if (defect < 0) {
    defect = find_defect();
    wrap();
  }
  if (defect == 17 && ++entries > 60) return BATON_INTERNAL;
  uint32_t room = out->size;
  baton_driver made = {.size = sizeof made};
  baton_code code = good_entry(host, &made);
  if (code == BATON_OK) {
    good = made;
    made.device = &device;
    made.buffer = &buffer;
    made.program = &program;
    made.timeline = &timeline;
    made.get_interface = wrong_interface;
    made.describe = wrong_describe;
    if (defect == 68) made.version = (baton_string){"0.1.1", 5}; // the note says otherwise
    if (defect == 4 && host->abi_max.minor > made.abi_max.minor) made.abi = host->abi_max;
  } else if (defect == 5) {
    made.abi_min = made.abi_max = (baton_version){0, 0};
  }
  made.size = smaller(room, sizeof made);
  memcpy(out, &made, made.size);
  if (defect == 6 && room < sizeof made) memset((char *)out + room, 0, 8);
  return code;
}
