// SPDX-License-Identifier: Apache-2.0
// Devices: what they say of themselves, and their life.  entry -> open -> ... -> quiesce -> close
#ifndef BATON_DEVICE_H
#define BATON_DEVICE_H

#include "driver.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t baton_engine;
enum {
  BATON_ENGINE_SILICON = 1,  // the device itself computes; times are wall times
  BATON_ENGINE_MODEL = 2,    // a model of the device computes real results; times are modelled
  BATON_ENGINE_REFERENCE = 3 // the reference for numerics; times are wall times
};

typedef int32_t baton_shape_rule;
enum {
  BATON_SHAPES_DYNAMIC = 1, // any token count up to max_batch_tokens
  BATON_SHAPES_BUCKETS = 2  // one compiled program per (sequences x token bucket); inputs pad up to the next bucket
};

/// What a device says of itself. `describe` and `info` fill the same struct; strings and arrays live as long as the process.
struct baton_device_info {
  uint32_t size;
  baton_engine engine;
  baton_string name;                // of the product: "Trainium3"
  baton_string vendor;
  uint64_t memory_bytes;            // for weights, KV and workspace
  uint64_t weight_dtypes;           // masks of BATON_DTYPE_BIT: weights taken as they are; the host converts the rest
  uint64_t compute_dtypes;          // operands of linear; sums are f32
  uint64_t kv_dtypes;               // what a KV pool can hold
  baton_dtype resident_dtype;       // what weights become on the device, 0: they stay as given. Memory is counted in it
  baton_dtype kv_dtype;             // the KV dtype it prefers; 0: it holds no KV
  baton_shape_rule shape_rule;
  uint32_t bucket_count;            // BUCKETS: token buckets, ascending
  const uint32_t *buckets;
  uint32_t max_batch_tokens;        // tokens in one submit
  uint32_t max_batch_sequences;     // sequences in one submit
  uint32_t max_context;             // KV tokens of one sequence, 0: bounded by memory alone
  uint32_t kv_block_tokens;         // tokens of a KV block it prefers
  uint32_t queue_count;             // queues are numbered 0 .. queue_count - 1
  uint32_t queue_depth;             // submits a queue holds before RESOURCE_EXHAUSTED
  uint32_t unit_count;              // chips or wafers behind this one device
  baton_clock clock;                // the clock of its events
};

struct baton_device_table {
  uint32_t size;
  uint32_t reserved;

  /// Opens the device. Ownership: the caller's, until close. Blocking: may. Any thread.
  /// Errors: INVALID_ARGUMENT for a bad option; UNAVAILABLE when the hardware is absent or taken; RESOURCE_EXHAUSTED. Since: 1.0
  baton_code (*open)(const baton_options *options, baton_device **out, baton_status *status);

  /// What the open device is; equal to what `describe` said unless the hardware says more. Does not block. Any thread. Since: 1.0
  baton_code (*info)(baton_device *device, baton_device_info *out, baton_status *status);

  /// OK while the device works; else why it does not (UNAVAILABLE when lost). Does not block. Any thread. Since: 1.0
  baton_code (*health)(baton_device *device, baton_status *status);

  /// Refuses new submits (FAILED_PRECONDITION), waits until accepted work has finished or failed and every callback has returned.
  /// After it returns no callback runs. Blocking: up to `timeout_ns`; then what is left fails with CANCELLED. Any thread but a callback's.
  /// Errors: DEADLINE_EXCEEDED when work had to be cancelled. Since: 1.0
  baton_code (*quiesce)(baton_device *device, uint64_t timeout_ns, baton_status *status);

  /// Closes a quiesced device and frees it. Objects made on it that were not released are freed with it. Blocking: briefly.
  /// The device must not be in use by any thread. Null is allowed. Since: 1.0
  void (*close)(baton_device *device);
};

// Rules. `baton driver test` checks each against a driver's library.
// D10: describe and info write no more of `out` than `out->size`.
// D11: An info is sound: known enumerators, at least one queue, buckets that ascend, kv_dtype among kv_dtypes.
// D12: health of a device that works is OK.
// D13: After quiesce a submit is refused with FAILED_PRECONDITION.
// D14: quiesce returns after accepted work has ended, and no callback runs after it.
// D15: quiesce whose time runs out gives DEADLINE_EXCEEDED and fails what is left with CANCELLED.
// D16: close frees what was not released, also after work was cut off; close of null does nothing.
// D17: A driver can be loaded, opened and closed a hundred times.

#ifdef __cplusplus
}
#endif
#endif
