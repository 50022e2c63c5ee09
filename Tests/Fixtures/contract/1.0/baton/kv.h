// SPDX-License-Identifier: Apache-2.0
// The interface "baton.kv", version 1: pools of KV blocks, and moving KV between devices.
// The host owns block tables; the device owns the storage behind block indices and may lay it out as it likes. What crosses between
// devices has a stated layout, never one inferred from a shape.
#ifndef BATON_KV_H
#define BATON_KV_H

#include "program.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BATON_KV_INTERFACE "baton.kv"
#define BATON_KV_VERSION 1u

/// The axes of exchanged KV. PLANE has two entries: K, then V.
enum { BATON_AXIS_LAYER = 1, BATON_AXIS_BLOCK = 2, BATON_AXIS_PLANE = 3, BATON_AXIS_HEAD = 4, BATON_AXIS_TOKEN = 5, BATON_AXIS_DIM = 6 };
enum { BATON_KV_SCALE_NONE = 0, BATON_KV_SCALE_BLOCK = 1, BATON_KV_SCALE_HEAD = 2, BATON_KV_SCALE_TOKEN = 3 };

/// How exchanged KV lies in memory: a dense array of `dtype` whose axes are in the order `axes`, slowest first.
/// Its extents: LAYER and BLOCK as the range says, PLANE 2, HEAD kv_heads, TOKEN block_tokens, DIM head_dim.
typedef struct baton_kv_layout {
  uint32_t size;
  baton_dtype dtype;
  uint8_t axes[8];             // six of BATON_AXIS_*, then zeros
  uint32_t block_tokens;
  uint32_t kv_heads;
  uint32_t head_dim;
  uint32_t layers;             // of the pool
  uint32_t rope_applied;       // 1: K is stored after rope
  baton_rope_style rope_style; // the order of K's elements: which pairs were turned together
  uint32_t scale_mode;         // BATON_KV_SCALE_*; scales are f32 and follow the array, in the order of the axes they span
  uint32_t reserved;
} baton_kv_layout;

typedef struct baton_kv_pool_desc {
  uint32_t size;
  baton_dtype dtype;       // of the storage; one of the device's kv_dtypes
  uint32_t block_count;
  uint32_t block_tokens;
  uint32_t first_layer;    // of the whole model
  uint32_t layers;
  uint32_t kv_heads;
  uint32_t head_dim;
  baton_rope_style rope_style;
  uint32_t reserved;
} baton_kv_pool_desc;

/// A part of a pool: some layers of some blocks, in the order of the array. Layers are counted in the whole model.
typedef struct baton_kv_range {
  uint32_t size;
  uint32_t first_layer;
  uint32_t layer_count;
  uint32_t block_count;
  const uint32_t *blocks;
  uint32_t token_count;    // tokens that count in those blocks together; exported positions past them are zero, imported ones are ignored
  uint32_t reserved;
} baton_kv_range;

typedef struct baton_kv_table {
  uint32_t size;
  uint32_t reserved;

  /// The exchange layouts for pools like `desc`, best first: those it exports, or with `importing` 1 those it imports. Writes at most
  /// `capacity` (elements sizeof(baton_kv_layout) apart; `out` may be null when it is 0) and, on success, the full count. Needs no open device. Does not block. Any thread. Since: 1.0
  baton_code (*layouts)(const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out, uint32_t capacity,
                        uint32_t *count, baton_status *status);

  /// A pool with zeroed blocks. Ownership: the caller's, until release. Blocking: may. Any thread.
  /// Errors: RESOURCE_EXHAUSTED with bytes needed and free; INVALID_ARGUMENT for a dtype or block size the device does not hold. Since: 1.0
  baton_code (*create)(baton_device *device, const baton_kv_pool_desc *desc, baton_kv_pool **out, baton_status *status);

  /// Frees it. No unfinished work may use it. Null is allowed. Since: 1.0
  void (*release)(baton_device *device, baton_kv_pool *pool);

  /// Names the pool's own storage so that a device which sees the same memory can adopt it. `layout` receives its exact layout with axes over
  /// all layers and blocks. Errors: UNIMPLEMENTED where storage cannot be named. Does not block. Any thread. Since: 1.0
  baton_code (*share)(baton_device *device, baton_kv_pool *pool, baton_memory_kind kind, baton_memory *memory, baton_kv_layout *layout, baton_status *status);

  /// A pool over storage that another device shares: the same block indices mean the same KV, and a handoff moves no bytes.
  /// Ownership: the storage stays with the sharer, which outlives this pool. Errors: UNIMPLEMENTED when this device cannot use that
  /// memory or that layout as it is. Blocking: may. Any thread. Since: 1.0
  baton_code (*adopt)(baton_device *device, const baton_kv_pool_desc *desc, const baton_memory *memory, const baton_kv_layout *layout,
                      baton_kv_pool **out, baton_status *status);

  /// Writes a range of the pool into `memory` in `layout` (one of `layouts`), which starts at memory->offset. Queued, never blocks; with a null
  /// `sync` it blocks. Works on ranges of any length; hosts send 0.5 to 1 MB a piece. `memory` and its bytes stay until the signal. Any thread.
  /// Errors: OUT_OF_RANGE when memory is too short; INVALID_ARGUMENT for a block or layer outside the pool. Since: 1.0
  baton_code (*export_range)(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                             const baton_memory *memory, const baton_sync *sync, baton_status *status);

  /// Reads a range into the pool from `memory` in `layout`. As export_range. Since: 1.0
  baton_code (*import_range)(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                             const baton_memory *memory, const baton_sync *sync, baton_status *status);

  /// Copies whole blocks inside a pool, all layers: from[i] to to[i]. Queued as above. Since: 1.0
  baton_code (*copy_blocks)(baton_device *device, baton_kv_pool *pool, const uint32_t *from, const uint32_t *to, uint32_t count,
                            const baton_sync *sync, baton_status *status);
} baton_kv_table;

// Rules. `baton driver test` checks each against a driver's library.
// D58: The blocks of a new pool are zero.
// D59: layouts gives sound layouts, their full count, and no more than there is room for.
// D60: export_range puts every element where the layout says, and zeros past token_count, in every layout listed.
// D61: What import_range takes, attention sees and export_range gives again, in every layout listed.
// D62: A pool adopted from a shared one holds the same KV, now and later.
// D63: copy_blocks copies all layers of each block.
// D64: A range with too little memory is OUT_OF_RANGE; a block or layer outside the pool is INVALID_ARGUMENT.
// D65: create refuses a pool that does not fit with RESOURCE_EXHAUSTED, and a dtype or block it does not hold with INVALID_ARGUMENT.

#ifdef __cplusplus
}
#endif
#endif
