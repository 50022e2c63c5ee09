// SPDX-License-Identifier: Apache-2.0
// The interface "baton.cost", version 1: what work would take, asked before any device is opened. Routing and planning ask here.
#ifndef BATON_COST_H
#define BATON_COST_H

#include "kv.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BATON_COST_INTERFACE "baton.cost"
#define BATON_COST_VERSION 1u

typedef int32_t baton_work_kind;
enum { BATON_WORK_RUN = 1, BATON_WORK_KV_EXPORT = 2, BATON_WORK_KV_IMPORT = 3 };

/// A shape of work, without its data.
typedef struct baton_work {
  uint32_t size;
  baton_work_kind kind;
  uint32_t token_count;    // RUN: T of one batch
  uint32_t sequence_count; // RUN: sequences in it
  uint64_t context_tokens; // RUN: KV tokens attended to, summed over the T tokens
  uint32_t row_count;      // RUN: R
  uint32_t piece_count;    // KV_*: pieces the bytes come in
  uint64_t bytes;          // KV_*: bytes moved in all
} baton_work;

typedef struct baton_cost {
  uint32_t size;
  baton_clock clock;
  uint64_t time_ns;   // how long it would take
  uint64_t flops;     // floating-point operations, a multiply-add counted as two
  uint64_t bytes;     // bytes moved through the device's memory
  uint64_t padded;    // RUN: tokens computed, padding to a bucket included
} baton_cost;

/// Memory a program and its KV would take on the device.
typedef struct baton_memory_need {
  uint32_t size;
  uint32_t fits;              // 1 when weights + workspace + kv <= there
  uint64_t weight_bytes;      // as the device would hold them
  uint64_t workspace_bytes;
  uint64_t kv_bytes;          // for `kv_tokens`
  uint64_t available_bytes;   // the device's memory_bytes
} baton_memory_need;

typedef struct baton_cost_table {
  uint32_t size;
  uint32_t reserved;

  /// Estimates one piece of work for a program like `desc` (weights need no buffers) on the device these options describe. An estimate with
  /// BATON_CLOCK_WALL is a guess at wall time. Opens nothing, does not block. Any thread. Errors: OUT_OF_RANGE for a shape the device refuses. Since: 1.0
  baton_code (*estimate)(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out, baton_status *status);

  /// What the program and `kv_tokens` tokens of KV in `kv_dtype` need. Opens nothing, does not block. Any thread. Since: 1.0
  baton_code (*memory)(const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype,
                       baton_memory_need *out, baton_status *status);
} baton_cost_table;

// Rules. `baton driver test` checks each against a driver's library.
// D66: estimate needs no open device and no weights; more tokens never take less, on the device's clock.
// D67: memory says what describe says is there, and `fits` exactly when the needs sum to no more.

#ifdef __cplusplus
}
#endif
#endif
