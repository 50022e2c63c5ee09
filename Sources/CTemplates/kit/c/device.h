// SPDX-License-Identifier: Apache-2.0
// What the files of this driver share. Each file is a step of the order in which a driver is written; `baton driver test` says how far you are.
//   1 driver.c    entry, describe, get_interface      5 kv.c                       pools of KV, and moving it
//   2 device.c    open, info, health, quiesce, close  6 program.c, batch.c,
//   3 timeline.c, queue.c   counters, and queued work   operations.c               graphs of operations, and running them
//   4 buffer.c    memory                              7 cost.c                     what work would take
// Nothing here is exported: the Makefile hides every symbol but the entry.
#ifndef DEVICE_H
#define DEVICE_H

#include "baton/baton.h"

#include <pthread.h>
#include <stdbool.h>

// --- Step 1: driver.c

/// The host's services, as far as this driver knows them. A newer host's table is longer, an older one's shorter.
extern baton_host host;

/// What the options say, proven.
typedef struct settings {
  uint64_t memory;      // bytes
  baton_dtype kv_dtype;
} settings;

/// Writes a failure of one line in the caller's status, which may be null or short, and gives `code`.
baton_code refuse(baton_status *status, baton_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/// Hands over a struct, which begins with its size: as much of it as the caller has room for, and says how much that is. Gives OK.
baton_code give(void *out, uint32_t room, void *value, uint32_t size);
baton_code read_options(const baton_options *options, settings *out, baton_status *status);
baton_code give_info(const settings *settings, baton_device_info *out, baton_status *status);
/// Runs `body` over [0, count) on the host's workers.
void parallel(uint64_t count, uint64_t grain, baton_body body, void *user);

// --- Step 2: device.c

enum { QUEUES = 2, QUEUE_DEPTH = 64, MAX_TOKENS = 512, MAX_SEQUENCES = 64, BLOCK_TOKENS = 16 };

/// Anything that belongs to a device and goes with it at the latest.
typedef struct object {
  struct object *next, *previous;
  void (*destroy)(struct object *object);
} object;

struct baton_device {
  settings settings;
  uint64_t used;     // bytes of `settings.memory` given out
  bool refuses;      // takes no more work
  bool cancelled;    // what is left of accepted work fails
  bool quiet;        // calls nobody back any more
  uint32_t calling;  // callbacks that have not returned
  object objects;    // a ring; this one is its head
  struct queue *queues[QUEUES];
};

void device_adopts(baton_device *device, object *object);
/// Takes the object out of its device and frees it. Null is allowed.
void device_drops(baton_device *device, object *object);
/// Takes bytes out of the device's memory, or says how many were needed and free.
baton_code device_charge(baton_device *device, uint64_t bytes, const char *what, baton_status *status);
void device_returns(baton_device *device, uint64_t bytes);
extern const baton_device_table device_table;

// --- Step 3: timeline.c and queue.c

/// One lock for everything that waits, and a condition for every change of it. A faster driver has one for each device.
void lock(void);
void unlock(void);
void changed(void);
/// Waits for a change until a time of CLOCK_MONOTONIC, for ever with UINT64_MAX; false when it ran out. The lock is held.
bool await_change(uint64_t deadline);
uint64_t now(void);

uint64_t timeline_value(const baton_timeline *timeline);
/// OK, or why the timeline failed. The lock is held.
baton_code timeline_failure(const baton_timeline *timeline);
void timeline_reach(baton_timeline *timeline, uint64_t value, uint64_t start, uint64_t end);
void timeline_break(baton_timeline *timeline, const baton_status *reason);
extern const baton_timeline_table timeline_table;

/// Something queued: `run` does it and gives its result; `data` is freed with it.
typedef struct work {
  struct work *next;
  baton_device *device;
  baton_code (*run)(struct work *work, baton_status *status);
  void (*destroy)(void *data);
  void *data;
  baton_point *waits, *signals;
  uint32_t wait_count, signal_count;
  baton_timeline *layers;
  uint64_t layer_base, start;
} work;

struct queue *queue_start(baton_device *device);
/// Ends the thread of an idle queue and frees it.
void queue_stop(struct queue *queue);
/// Work that has not ended. The lock is held.
uint32_t queue_length(const struct queue *queue);
/// Queues work by `sync`, or does it at once without one. Owns `data` from here, also when it refuses.
baton_code queue_take(baton_device *device, const baton_sync *sync, baton_code (*run)(work *, baton_status *), void (*destroy)(void *), void *data,
                      bool now_without_sync, baton_status *status);
/// The KV of the program's `layers` first layers is complete.
void work_layers(work *work, uint32_t layers);

// --- Step 4: buffer.c

struct baton_buffer {
  object object;
  baton_device *device;
  uint8_t *base;
  uint64_t length;
  uint64_t charged;    // bytes of the device's memory
  void *mapping;       // what to unmap, or null
  uint64_t mapped;
  bool writable;
};
/// A host pointer to named memory. `mapping` and `mapped` receive what has to be unmapped, if anything.
baton_code memory_reach(const baton_memory *memory, bool writable, uint8_t **base, void **mapping, uint64_t *mapped, baton_status *status);
extern const baton_buffer_table buffer_table;

// --- Step 5: kv.c

/// Storage: [block][layer][plane][head][token][dim].
struct baton_kv_pool {
  object object;
  baton_device *device;
  baton_kv_pool_desc desc;
  uint8_t *base;
  uint64_t bytes;
  bool adopted;
};
/// Where a row of head_dim elements lies. `layer` is counted in the whole model.
uint8_t *pool_row(const baton_kv_pool *pool, uint32_t layer, uint32_t block, uint32_t plane, uint32_t head, uint32_t token);
extern const baton_kv_table kv_table;

// --- Step 6: program.c, batch.c, operations.c

typedef struct tensor {
  baton_tensor_role role;
  baton_dtype dtype;
  uint32_t rank;
  int64_t rows;         // a count, BATON_DIM_TOKENS or BATON_DIM_ROWS; 1 for rank 1
  uint64_t columns;
  const uint8_t *bytes; // of a weight
  int32_t slot;         // where an activation lies while it is needed, -1 for others
  char name[48];        // for words
} tensor;

struct baton_program {
  object object;
  tensor *tensors;
  baton_op *ops;
  uint32_t tensor_count, op_count, first_layer, layer_count, kv_heads, head_dim, max_tokens, max_sequences, max_context;
  uint32_t slot_count;
  uint64_t *slot_columns; // the widest tensor that lies in each slot
  uint64_t vocabulary;    // rows of the smallest EMBED weight, UINT64_MAX without one
  uint64_t weight_bytes;
  bool attends;
};

/// A batch as it was proven and copied, and where its tensors are.
typedef struct run {
  const baton_program *program;
  baton_kv_pool *pool;
  uint32_t token_count, sequence_count, row_count, stride;
  uint32_t *tokens, *positions, *sequences, *rows, *tables;
  float **places;         // of each tensor that is no weight
} run;

baton_code program_submit(baton_device *device, baton_program *program, const baton_batch *batch, const baton_sync *sync, baton_status *status);
uint64_t run_rows(const run *run, const tensor *tensor);
/// Does one operation; attention tells `work` when its layer's KV is complete.
baton_code operate(const run *run, const baton_op *op, work *work, baton_status *status);
extern const baton_program_table program_table;

// --- operations.c: elements of the dtypes

/// Elements and bytes of a block; 0 for a dtype this driver does not take.
uint32_t dtype_elements(baton_dtype dtype);
uint32_t dtype_bytes(baton_dtype dtype);
/// `count` elements, whole blocks, as f32.
void decode(baton_dtype dtype, const uint8_t *bytes, uint64_t count, float *out);
/// As f32, f16 or bf16, rounded to nearest, ties to even.
void encode(baton_dtype dtype, const float *values, uint64_t count, uint8_t *out);

// --- Step 7: cost.c
extern const baton_cost_table cost_table;

/// An element of an array of structs that are as far apart as the first one says.
#define AT(array, index) ((const void *)((const char *)(array) + (uint64_t)(index) * (array)->size))

#endif
