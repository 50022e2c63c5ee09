// SPDX-License-Identifier: Apache-2.0
// A host in one file, for the version matrix: built with the headers of one version of the contract, it loads a driver that was built with another's, and runs
// a batch through it. What it hands over has room after it that nobody may write. Prints "agreed M.N", or "refused LOW..HIGH", and ends with 0; a
// surprise is a line on standard error, and 1.
//
//   cc -I<headers> -o host host.c -ldl && ./host libbaton-x.so
#include "baton/baton.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/// A struct with its size, and 256 bytes after it that stay as they are.
#define GUARDED(type, name)                                 \
  struct { type value; unsigned char after[256]; } name;    \
  memset(&name, 0, sizeof name.value);                      \
  memset(name.after, 0xA5, sizeof name.after);              \
  name.value.size = sizeof name.value
#define UNTOUCHED(name) expect(untouched(name.after), "the driver wrote past " #name)

static int untouched(const unsigned char *after) {
  for (int i = 0; i < 256; i++)
    if (after[i] != 0xA5) return 0;
  return 1;
}

static baton_driver driver;
static baton_device *device;
static const baton_version low = {BATON_ABI_MAJOR, 0}, high = {BATON_ABI_MAJOR, BATON_ABI_MINOR};

static int enter(const char *path) {
  static baton_host host;
  host.size = sizeof host;
  host.worker_count = 1;
  host.abi_min = low;
  host.abi_max = high;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  expect(library != NULL, "the library cannot be loaded");
  baton_driver_entry_function entry;
  *(void **)&entry = dlsym(library, BATON_DRIVER_ENTRY);
  expect(entry != NULL, "the library has no entry");
  GUARDED(baton_driver, made);
  baton_code code = entry(&host, &made.value);
  UNTOUCHED(made);
  driver = made.value;
  if (code == BATON_OK) return 1;
  expect(code == BATON_FAILED_PRECONDITION, "the entry failed with another code than FAILED_PRECONDITION");
  printf("refused %u.%u..%u.%u\n", driver.abi_min.major, driver.abi_min.minor, driver.abi_max.major, driver.abi_max.minor);
  return 0;
}

static void runs_a_device(void) {
  GUARDED(baton_device_info, info);
  GUARDED(baton_status, status);
  expect(driver.describe(NULL, &info.value, &status.value) == BATON_OK && info.value.memory_bytes > 0 && info.value.clock == BATON_CLOCK_WALL, "describe");
  expect(driver.device->open(NULL, &device, &status.value) == BATON_OK, "open");
  expect(driver.device->info(device, &info.value, &status.value) == BATON_OK && info.value.queue_count == 2, "info");
  baton_buffer *none = NULL;
  expect(driver.buffer->allocate(device, 0, &none, &status.value) == BATON_INVALID_ARGUMENT && status.value.message_length > 0, "a failure has words");
  baton_timeline *line = NULL;
  expect(driver.timeline->create(device, 0, &line, &status.value) == BATON_OK, "a timeline");
  GUARDED(baton_status, reason);
  reason.value.code = BATON_DATA_LOSS;
  expect(driver.timeline->fail(device, line, &reason.value, &status.value) == BATON_OK, "fail");
  GUARDED(baton_event, event);
  expect(driver.timeline->query(device, line, 1, &event.value, &status.value) == BATON_DATA_LOSS && event.value.code == BATON_DATA_LOSS, "the failure is told");
  UNTOUCHED(info), UNTOUCHED(status), UNTOUCHED(event);
}

static baton_buffer *buffer_of(const float *values, uint64_t count) {
  baton_buffer *buffer = NULL;
  expect(driver.buffer->allocate(device, count * 4, &buffer, NULL) == BATON_OK, "allocate");
  if (values != NULL) expect(driver.buffer->write(device, buffer, 0, values, count * 4, NULL) == BATON_OK, "write");
  return buffer;
}

static baton_tensor tensor_of(baton_tensor_role role, int64_t rows, baton_buffer *buffer) {
  baton_tensor tensor = {.size = sizeof tensor, .role = role, .dtype = BATON_F32, .rank = 2, .dims = {rows, 2}, .buffer = buffer};
  return tensor;
}

/// x by [[1 10] [100 1000]], then twice that: arrays of two operations and four tensors, as far apart as this host's structs are long.
static void runs_a_batch(void) {
  const float weight[] = {1, 10, 100, 1000}, x[] = {1, 2, 3, 4}, wanted[] = {42, 4200, 86, 8600};
  baton_buffer *weights = buffer_of(weight, 4), *from = buffer_of(x, 4), *to = buffer_of(NULL, 4);
  baton_tensor tensors[] = {tensor_of(BATON_TENSOR_WEIGHT, 2, weights), tensor_of(BATON_TENSOR_INPUT, BATON_DIM_TOKENS, NULL),
                            tensor_of(BATON_TENSOR_ACTIVATION, BATON_DIM_TOKENS, NULL), tensor_of(BATON_TENSOR_OUTPUT, BATON_DIM_TOKENS, NULL)};
  baton_op ops[2] = {{.size = sizeof ops[0], .kind = BATON_OP_LINEAR, .layer = -1, .input_count = 2, .inputs = {1, 0}, .output = 2},
                     {.size = sizeof ops[1], .kind = BATON_OP_SCALE, .layer = -1, .input_count = 1, .inputs = {2}, .output = 3, .scale = 2}};
  baton_program_desc desc = {.size = sizeof desc, .tensor_count = 4, .tensors = tensors, .ops = ops, .op_count = 2, .max_tokens = 8, .max_sequences = 1};
  baton_program *program = NULL;
  expect(driver.program->compile(device, &desc, &program, NULL) == BATON_OK, "compile");
  GUARDED(baton_program_info, info);
  expect(driver.program->info(device, program, &info.value, NULL) == BATON_OK, "info of a program");
  UNTOUCHED(info);
  baton_timeline *done = NULL;
  expect(driver.timeline->create(device, 0, &done, NULL) == BATON_OK, "a timeline");
  baton_point signal = {done, 1};
  baton_sync sync = {.size = sizeof sync, .signals = &signal, .signal_count = 1};
  const uint32_t positions[] = {0, 1}, sequences[] = {0, 0};
  baton_binding bindings[2] = {{.size = sizeof bindings[0], .tensor = 1, .buffer = from}, {.size = sizeof bindings[1], .tensor = 3, .buffer = to}};
  baton_batch batch = {.size = sizeof batch, .token_count = 2, .sequence_count = 1, .positions = positions, .sequences = sequences, .binding_count = 2, .bindings = bindings};
  expect(driver.program->submit(device, program, &batch, &sync, NULL) == BATON_OK, "submit");
  expect(driver.timeline->wait(device, done, 1, 20000000000u, NULL, NULL) == BATON_OK, "wait");
  float found[4] = {0};
  expect(driver.buffer->read(device, to, 0, found, sizeof found, NULL) == BATON_OK, "read");
  for (int i = 0; i < 4; i++) expect(fabsf(found[i] - wanted[i]) < 1e-2f, "the batch gave other numbers");
}

static void exchanges_kv(void) {
  const baton_kv_table *kv = driver.get_interface((baton_string){BATON_KV_INTERFACE, 8}, BATON_KV_VERSION);
  expect(kv != NULL, "the driver has no KV");
  baton_kv_pool_desc desc = {.size = sizeof desc, .dtype = BATON_F32, .block_count = 4, .block_tokens = 16, .layers = 1, .kv_heads = 1, .head_dim = 8, .rope_style = 1};
  struct { baton_kv_layout value[3]; unsigned char after[256]; } layouts;
  memset(&layouts, 0, sizeof layouts.value);
  memset(layouts.after, 0xA5, sizeof layouts.after);
  for (int i = 0; i < 3; i++) layouts.value[i].size = sizeof layouts.value[i];
  uint32_t count = 0;
  expect(kv->layouts(NULL, &desc, 0, layouts.value, 3, &count, NULL) == BATON_OK && count >= 3, "layouts");
  for (int i = 0; i < 3; i++) expect(layouts.value[i].block_tokens == 16 && layouts.value[i].head_dim == 8, "a layout lies elsewhere than its size says");
  baton_kv_pool *pool = NULL;
  expect(kv->create(device, &desc, &pool, NULL) == BATON_OK, "a pool");
  GUARDED(baton_memory, memory);
  GUARDED(baton_kv_layout, layout);
  expect(kv->share(device, pool, BATON_MEMORY_HOST, &memory.value, &layout.value, NULL) == BATON_OK && memory.value.length > 0, "share");
  UNTOUCHED(layouts), UNTOUCHED(memory), UNTOUCHED(layout);
}

int main(int count, char **arguments) {
  expect(count == 2, "give the path of a driver's library");
  if (!enter(arguments[1])) return 0;
  runs_a_device();
  runs_a_batch();
  exchanges_kv();
  expect(driver.device->quiesce(device, 1000000000, NULL) == BATON_OK, "quiesce");
  driver.device->close(device);
  printf("agreed %u.%u\n", driver.abi.major, driver.abi.minor);
  return 0;
}
