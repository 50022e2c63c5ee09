// SPDX-License-Identifier: Apache-2.0
// Unit tests: the driver's library loaded as a host loads it, and its answers held to numbers worked out by hand. `baton driver test` checks the
// whole contract; what is here is what your device adds, and what you want to know in a second.
//
//   ./unit ./libbaton-NAME.so
#include "baton/baton.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "test.c:%d: %s does not hold\n", __LINE__, #condition);   \
      failures++;                                                               \
    }                                                                           \
  } while (0)

static baton_driver driver;
static baton_device *device;
static baton_status status = {.size = sizeof status};

static baton_code enter(baton_driver_entry_function entry, baton_version low, baton_version high) {
  static baton_host host; // kept by the driver
  host = (baton_host){.size = sizeof host, .worker_count = 1, .abi_min = low, .abi_max = high};
  driver = (baton_driver){.size = sizeof driver};
  return entry(&host, &driver);
}

static void tests_entry(baton_driver_entry_function entry) {
  CHECK(enter(entry, (baton_version){7, 0}, (baton_version){7, 1}) == BATON_FAILED_PRECONDITION && driver.abi_max.major == 1);
  CHECK(enter(entry, (baton_version){1, 0}, (baton_version){BATON_ABI_MAJOR, BATON_ABI_MINOR}) == BATON_OK);
  baton_device_info info = {.size = sizeof info};
  CHECK(driver.describe(NULL, &info, &status) == BATON_OK && info.memory_bytes > 0);
  baton_option odd = {{"colour", 6}, {"red", 3}};
  baton_options options = {sizeof options, 1, &odd};
  CHECK(driver.describe(&options, &info, &status) == BATON_INVALID_ARGUMENT && status.message_length > 0);
}

static baton_buffer *buffer_of(const float *values, uint64_t count) {
  baton_buffer *buffer = NULL;
  CHECK(driver.buffer->allocate(device, count * 4, &buffer, &status) == BATON_OK);
  if (values != NULL) CHECK(driver.buffer->write(device, buffer, 0, values, count * 4, &status) == BATON_OK);
  return buffer;
}

static baton_tensor tensor_of(baton_tensor_role role, int64_t rows, int64_t columns, baton_buffer *buffer) {
  return (baton_tensor){.size = sizeof(baton_tensor), .role = role, .dtype = BATON_F32, .rank = 2, .dims = {rows, columns}, .buffer = buffer};
}

/// [1 2] and [3 4] through a weight of [[1 10] [100 1000]]: rows of x by rows of the weight.
static void tests_linear(void) {
  const float weight[] = {1, 10, 100, 1000}, x[] = {1, 2, 3, 4}, wanted[] = {21, 2100, 43, 4300};
  baton_buffer *weights = buffer_of(weight, 4), *from = buffer_of(x, 4), *to = buffer_of(NULL, 4);
  baton_tensor tensors[] = {tensor_of(BATON_TENSOR_WEIGHT, 2, 2, weights), tensor_of(BATON_TENSOR_INPUT, BATON_DIM_TOKENS, 2, NULL),
                            tensor_of(BATON_TENSOR_OUTPUT, BATON_DIM_TOKENS, 2, NULL)};
  baton_op op = {.size = sizeof op, .kind = BATON_OP_LINEAR, .layer = -1, .input_count = 2, .inputs = {1, 0}, .output = 2};
  baton_program_desc desc = {.size = sizeof desc, .tensor_count = 3, .tensors = tensors, .ops = &op, .op_count = 1, .max_tokens = 8, .max_sequences = 1};
  baton_program *program = NULL;
  CHECK(driver.program->compile(device, &desc, &program, &status) == BATON_OK);
  baton_timeline *done = NULL;
  CHECK(driver.timeline->create(device, 0, &done, &status) == BATON_OK);
  baton_point signal = {done, 1};
  baton_sync sync = {.size = sizeof sync, .signals = &signal, .signal_count = 1};
  const uint32_t positions[] = {0, 1}, sequences[] = {0, 0};
  baton_binding bindings[] = {{sizeof(baton_binding), 1, from, 0}, {sizeof(baton_binding), 2, to, 0}};
  baton_batch batch = {.size = sizeof batch, .token_count = 2, .sequence_count = 1, .positions = positions, .sequences = sequences,
                       .binding_count = 2, .bindings = bindings};
  CHECK(driver.program->submit(device, program, &batch, &sync, &status) == BATON_OK);
  CHECK(driver.timeline->wait(device, done, 1, 10000000000u, NULL, &status) == BATON_OK);
  float found[4] = {0};
  CHECK(driver.buffer->read(device, to, 0, found, sizeof found, &status) == BATON_OK);
  for (int i = 0; i < 4; i++) CHECK(fabsf(found[i] - wanted[i]) < 1e-3f);
}

int main(int count, char **arguments) {
  void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) {
    fprintf(stderr, "%s\n", count == 2 ? dlerror() : "give the path of the driver's library");
    return 2;
  }
  baton_driver_entry_function entry;
  *(void **)&entry = dlsym(library, BATON_DRIVER_ENTRY);
  CHECK(entry != NULL);
  if (entry == NULL) return 1;
  tests_entry(entry);
  CHECK(driver.device->open(NULL, &device, &status) == BATON_OK);
  if (device == NULL) return 1;
  tests_linear();
  CHECK(driver.device->quiesce(device, 1000000000, &status) == BATON_OK);
  driver.device->close(device); // and with it what was not released
  printf(failures == 0 ? "unit tests pass\n" : "%d unit tests fail\n", failures);
  return failures == 0 ? 0 : 1;
}
