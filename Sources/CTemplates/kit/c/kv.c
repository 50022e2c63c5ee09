// SPDX-License-Identifier: Apache-2.0
// Step 5: pools of KV blocks, and moving KV in and out of them in a stated layout.
#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/// Own storage first, which asks for no work but the copy; then a plain order that every device can talk to.
static const uint8_t storage_axes[6] = {BATON_AXIS_BLOCK, BATON_AXIS_LAYER, BATON_AXIS_PLANE, BATON_AXIS_HEAD, BATON_AXIS_TOKEN, BATON_AXIS_DIM};
static const uint8_t plain_axes[6] = {BATON_AXIS_LAYER, BATON_AXIS_PLANE, BATON_AXIS_BLOCK, BATON_AXIS_TOKEN, BATON_AXIS_HEAD, BATON_AXIS_DIM};

static bool is_kv_dtype(baton_dtype dtype) { return dtype == BATON_F32 || dtype == BATON_F16 || dtype == BATON_BF16; }

static baton_code check_pool(const baton_kv_pool_desc *desc, baton_status *status) {
  if (desc == NULL || !BATON_HAS(desc, baton_kv_pool_desc, rope_style)) return refuse(status, BATON_INVALID_ARGUMENT, "a pool needs a description with its size");
  if (!is_kv_dtype(desc->dtype)) return refuse(status, BATON_INVALID_ARGUMENT, "a pool in dtype %u; f32, f16 and bf16 are held", desc->dtype);
  if (desc->block_count == 0 || desc->block_tokens == 0 || desc->block_tokens > 4096 || desc->layers == 0 || desc->kv_heads == 0 || desc->head_dim == 0)
    return refuse(status, BATON_INVALID_ARGUMENT, "a pool of %u blocks of %u tokens, %u layers, %u heads of %u; each is 1 or more", desc->block_count,
                  desc->block_tokens, desc->layers, desc->kv_heads, desc->head_dim);
  return BATON_OK;
}

/// Bytes of so many layers and blocks; UINT64_MAX when there are too many to count.
static uint64_t kv_bytes(const baton_kv_pool_desc *desc, baton_dtype dtype, uint64_t layers, uint64_t blocks) {
  uint64_t total = 2 * dtype_bytes(dtype);
  uint64_t factors[] = {layers, blocks, desc->kv_heads, desc->block_tokens, desc->head_dim};
  for (int i = 0; i < 5; i++)
    if (__builtin_mul_overflow(total, factors[i], &total)) return UINT64_MAX;
  return total;
}

static baton_kv_layout make_layout(const baton_kv_pool_desc *desc, baton_dtype dtype, const uint8_t axes[6]) {
  baton_kv_layout layout = {.size = sizeof layout, .dtype = dtype, .block_tokens = desc->block_tokens, .kv_heads = desc->kv_heads,
                            .head_dim = desc->head_dim, .layers = desc->layers, .rope_applied = 1, .rope_style = desc->rope_style};
  memcpy(layout.axes, axes, 6);
  return layout;
}

static baton_code kv_layouts(const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out, uint32_t capacity,
                             uint32_t *count, baton_status *status) {
  (void)options, (void)importing;
  baton_code code = check_pool(desc, status);
  if (code != BATON_OK) return code;
  baton_kv_layout all[4] = {make_layout(desc, desc->dtype, storage_axes)};
  uint32_t made = 1;
  for (baton_dtype dtype = BATON_F32; dtype <= BATON_BF16; dtype++)
    if (dtype != desc->dtype) all[made++] = make_layout(desc, dtype, storage_axes);
  all[made++] = make_layout(desc, BATON_F16, plain_axes);
  uint32_t stride = capacity > 0 && out->size > 0 ? out->size : (uint32_t)sizeof *out;
  for (uint32_t i = 0; i < made && i < capacity; i++) give((char *)out + (uint64_t)i * stride, stride, &all[i], sizeof all[i]);
  *count = made;
  return BATON_OK;
}

// --- Pools.

static void pool_destroy(object *object) {
  baton_kv_pool *pool = (baton_kv_pool *)object;
  if (!pool->adopted) {
    free(pool->base);
    device_returns(pool->device, pool->bytes);
  }
  free(pool);
}

/// A pool over `base`, or over storage of its own with null.
static baton_code pool_make(baton_device *device, const baton_kv_pool_desc *desc, uint8_t *base, baton_kv_pool **out, baton_status *status) {
  uint64_t bytes = kv_bytes(desc, desc->dtype, desc->layers, desc->block_count);
  if (base == NULL) {
    baton_code code = device_charge(device, bytes, "a KV pool", status);
    if (code != BATON_OK) return code;
  }
  baton_kv_pool *pool = calloc(1, sizeof *pool);
  uint8_t *storage = base != NULL || pool == NULL ? base : calloc(1, bytes);
  if (pool == NULL || storage == NULL) {
    free(pool);
    if (base == NULL) device_returns(device, bytes);
    return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a KV pool of %llu bytes", (unsigned long long)bytes);
  }
  pool->object.destroy = pool_destroy;
  pool->device = device;
  memcpy(&pool->desc, desc, desc->size < sizeof pool->desc ? desc->size : sizeof pool->desc);
  pool->base = storage;
  pool->bytes = bytes;
  pool->adopted = base != NULL;
  device_adopts(device, &pool->object);
  *out = pool;
  return BATON_OK;
}

static baton_code kv_create(baton_device *device, const baton_kv_pool_desc *desc, baton_kv_pool **out, baton_status *status) {
  baton_code code = check_pool(desc, status);
  return code == BATON_OK ? pool_make(device, desc, NULL, out, status) : code;
}

static void kv_release(baton_device *device, baton_kv_pool *pool) { device_drops(device, (object *)pool); }

static baton_code kv_share(baton_device *device, baton_kv_pool *pool, baton_memory_kind kind, baton_memory *memory, baton_kv_layout *layout, baton_status *status) {
  (void)device;
  if (kind != BATON_MEMORY_HOST) return refuse(status, BATON_UNIMPLEMENTED, "a pool is named as HOST memory only, not kind %d", kind);
  baton_memory own = {.kind = kind, .address = (uint64_t)(uintptr_t)pool->base, .descriptor = -1, .length = pool->bytes};
  baton_kv_layout axes = make_layout(&pool->desc, pool->desc.dtype, storage_axes);
  give(memory, memory->size, &own, sizeof own);
  return give(layout, layout->size, &axes, sizeof axes);
}

static bool same_layout(const baton_kv_layout *a, const baton_kv_layout *b) {
  return a->dtype == b->dtype && memcmp(a->axes, b->axes, 6) == 0 && a->block_tokens == b->block_tokens && a->kv_heads == b->kv_heads &&
         a->head_dim == b->head_dim && a->layers == b->layers && a->rope_applied == b->rope_applied && a->rope_style == b->rope_style &&
         a->scale_mode == b->scale_mode;
}

static baton_code kv_adopt(baton_device *device, const baton_kv_pool_desc *desc, const baton_memory *memory, const baton_kv_layout *layout,
                           baton_kv_pool **out, baton_status *status) {
  baton_code code = check_pool(desc, status);
  if (code != BATON_OK) return code;
  baton_kv_layout own = make_layout(desc, desc->dtype, storage_axes);
  if (memory->kind != BATON_MEMORY_HOST || memory->address == 0 || !same_layout(layout, &own))
    return refuse(status, BATON_UNIMPLEMENTED, "only HOST memory in this driver's own layout is adopted; export and import instead");
  uint64_t bytes = kv_bytes(desc, desc->dtype, desc->layers, desc->block_count);
  if (memory->length < bytes)
    return refuse(status, BATON_OUT_OF_RANGE, "a pool of %llu bytes over %llu that are shared", (unsigned long long)bytes, (unsigned long long)memory->length);
  return pool_make(device, desc, (uint8_t *)(uintptr_t)memory->address + memory->offset, out, status);
}

// --- Places: how far apart the elements of an axis are, in elements.

typedef struct strides {
  uint64_t of[7]; // by axis
} strides;

static strides strides_of(const uint8_t axes[6], const baton_kv_pool_desc *desc, uint64_t layers, uint64_t blocks) {
  uint64_t extents[7] = {1, layers, blocks, 2, desc->kv_heads, desc->block_tokens, desc->head_dim}, step = 1;
  strides strides = {{0}};
  for (int i = 5; i >= 0; i--) {
    strides.of[axes[i]] = step;
    step *= extents[axes[i]];
  }
  return strides;
}

uint8_t *pool_row(const baton_kv_pool *pool, uint32_t layer, uint32_t block, uint32_t plane, uint32_t head, uint32_t token) {
  const baton_kv_pool_desc *desc = &pool->desc;
  uint64_t row = ((((uint64_t)block * desc->layers + (layer - desc->first_layer)) * 2 + plane) * desc->kv_heads + head) * desc->block_tokens + token;
  return pool->base + row * desc->head_dim * dtype_bytes(desc->dtype);
}

// --- Moving ranges.

typedef struct moving {
  baton_kv_pool *pool;
  bool exporting;
  uint32_t first_layer, layer_count, block_count, token_count;
  uint32_t *blocks;
  baton_dtype dtype;
  strides strides;
  uint8_t *base;
  void *mapping;
  uint64_t mapped;
} moving;

static void moving_destroy(void *data) {
  moving *move = data;
  if (move->mapping != NULL) munmap(move->mapping, move->mapped);
  free(move->blocks);
  free(move);
}

/// One row of head_dim elements, whose elements in memory are `step` apart.
static void move_row(const moving *move, uint8_t *stored, uint8_t *memory, bool counts) {
  uint32_t dim = move->pool->desc.head_dim, width = dtype_bytes(move->dtype), own = dtype_bytes(move->pool->desc.dtype);
  uint64_t step = move->strides.of[BATON_AXIS_DIM] * width;
  for (uint32_t i = 0; i < dim; i++) {
    float value = 0;
    if (move->exporting) {
      if (counts) decode(move->pool->desc.dtype, stored + (uint64_t)i * own, 1, &value);
      encode(move->dtype, &value, 1, memory + i * step);
    } else if (counts) {
      decode(move->dtype, memory + i * step, 1, &value);
      encode(move->pool->desc.dtype, &value, 1, stored + (uint64_t)i * own);
    }
  }
}

static baton_code move_run(work *work, baton_status *status) {
  (void)status;
  const moving *move = work->data;
  const baton_kv_pool_desc *desc = &move->pool->desc;
  for (uint32_t layer = 0; layer < move->layer_count; layer++)
    for (uint32_t block = 0; block < move->block_count; block++)
      for (uint32_t plane = 0; plane < 2; plane++)
        for (uint32_t head = 0; head < desc->kv_heads; head++)
          for (uint32_t token = 0; token < desc->block_tokens; token++) {
            const uint64_t *of = move->strides.of;
            uint64_t at = layer * of[BATON_AXIS_LAYER] + block * of[BATON_AXIS_BLOCK] + plane * of[BATON_AXIS_PLANE] + head * of[BATON_AXIS_HEAD] +
                          token * of[BATON_AXIS_TOKEN];
            bool counts = (uint64_t)block * desc->block_tokens + token < move->token_count;
            move_row(move, pool_row(move->pool, move->first_layer + layer, move->blocks[block], plane, head, token),
                     move->base + at * dtype_bytes(move->dtype), counts);
          }
  return BATON_OK;
}

static baton_code check_range(const baton_kv_pool *pool, const baton_kv_range *range, baton_status *status) {
  const baton_kv_pool_desc *desc = &pool->desc;
  if (range == NULL || !BATON_HAS(range, baton_kv_range, token_count)) return refuse(status, BATON_INVALID_ARGUMENT, "a range needs a struct with its size");
  if (range->first_layer < desc->first_layer || range->layer_count > desc->layers || range->first_layer - desc->first_layer > desc->layers - range->layer_count)
    return refuse(status, BATON_INVALID_ARGUMENT, "%u layers from %u of a pool of %u from %u", range->layer_count, range->first_layer, desc->layers, desc->first_layer);
  for (uint32_t i = 0; i < range->block_count; i++)
    if (range->blocks[i] >= desc->block_count)
      return refuse(status, BATON_INVALID_ARGUMENT, "block %u of a pool of %u", range->blocks[i], desc->block_count);
  return BATON_OK;
}

static baton_code check_layout(const baton_kv_pool *pool, const baton_kv_layout *layout, baton_status *status) {
  const baton_kv_pool_desc *desc = &pool->desc;
  uint32_t seen = 0;
  if (layout == NULL || !BATON_HAS(layout, baton_kv_layout, scale_mode)) return refuse(status, BATON_INVALID_ARGUMENT, "a layout needs a struct with its size");
  for (int i = 0; i < 6; i++) seen |= layout->axes[i] <= 6 ? 1u << layout->axes[i] : 0;
  if (seen != 0x7E) return refuse(status, BATON_INVALID_ARGUMENT, "a layout has each of the six axes once");
  if (layout->block_tokens != desc->block_tokens || layout->kv_heads != desc->kv_heads || layout->head_dim != desc->head_dim)
    return refuse(status, BATON_INVALID_ARGUMENT, "a layout of %u tokens a block, %u heads of %u for a pool of %u, %u of %u", layout->block_tokens,
                  layout->kv_heads, layout->head_dim, desc->block_tokens, desc->kv_heads, desc->head_dim);
  if (!is_kv_dtype(layout->dtype) || layout->scale_mode != BATON_KV_SCALE_NONE || layout->rope_applied != 1 || layout->rope_style != desc->rope_style)
    return refuse(status, BATON_UNIMPLEMENTED, "KV is exchanged as f32, f16 or bf16 without scales, K after rope as the pool has it");
  return BATON_OK;
}

static baton_code move_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                             const baton_memory *memory, const baton_sync *sync, bool exporting, baton_status *status) {
  baton_code code = check_range(pool, range, status);
  if (code == BATON_OK) code = check_layout(pool, layout, status);
  if (code != BATON_OK) return code;
  uint64_t needed = kv_bytes(&pool->desc, layout->dtype, range->layer_count, range->block_count);
  if (memory == NULL || !BATON_HAS(memory, baton_memory, length) || memory->length < needed)
    return refuse(status, BATON_OUT_OF_RANGE, "the range takes %llu bytes, more than the memory has", (unsigned long long)needed);
  moving *move = calloc(1, sizeof *move);
  if (move != NULL) move->blocks = malloc(sizeof *move->blocks * (range->block_count + 1));
  if (move == NULL || move->blocks == NULL) {
    free(move);
    return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a move of KV");
  }
  code = memory_reach(memory, exporting, &move->base, &move->mapping, &move->mapped, status);
  if (code != BATON_OK) {
    moving_destroy(move);
    return code;
  }
  memcpy(move->blocks, range->blocks, sizeof *move->blocks * range->block_count);
  move->pool = pool;
  move->exporting = exporting;
  move->first_layer = range->first_layer;
  move->layer_count = range->layer_count;
  move->block_count = range->block_count;
  move->token_count = range->token_count;
  move->dtype = layout->dtype;
  move->strides = strides_of(layout->axes, &pool->desc, range->layer_count, range->block_count);
  return queue_take(device, sync, move_run, moving_destroy, move, true, status);
}

static baton_code kv_export_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                                  const baton_memory *memory, const baton_sync *sync, baton_status *status) {
  return move_range(device, pool, range, layout, memory, sync, true, status);
}

static baton_code kv_import_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout,
                                  const baton_memory *memory, const baton_sync *sync, baton_status *status) {
  return move_range(device, pool, range, layout, memory, sync, false, status);
}

typedef struct block_copy {
  baton_kv_pool *pool;
  uint32_t count;
  uint32_t pairs[]; // from, to, from, to ...
} block_copy;

static baton_code copy_run_blocks(work *work, baton_status *status) {
  (void)status;
  const block_copy *copy = work->data;
  uint64_t block = copy->pool->bytes / copy->pool->desc.block_count;
  for (uint32_t i = 0; i < copy->count; i++)
    memmove(copy->pool->base + copy->pairs[2 * i + 1] * block, copy->pool->base + copy->pairs[2 * i] * block, block);
  return BATON_OK;
}

static baton_code kv_copy_blocks(baton_device *device, baton_kv_pool *pool, const uint32_t *from, const uint32_t *to, uint32_t count, const baton_sync *sync,
                                 baton_status *status) {
  block_copy *copy = malloc(sizeof *copy + (uint64_t)count * 2 * sizeof *copy->pairs);
  if (copy == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a copy of %u blocks", count);
  copy->pool = pool;
  copy->count = count;
  for (uint32_t i = 0; i < count; i++) {
    copy->pairs[2 * i] = from[i];
    copy->pairs[2 * i + 1] = to[i];
    if (from[i] < pool->desc.block_count && to[i] < pool->desc.block_count) continue;
    free(copy);
    return refuse(status, BATON_INVALID_ARGUMENT, "block %u to %u of a pool of %u", from[i], to[i], pool->desc.block_count);
  }
  return queue_take(device, sync, copy_run_blocks, free, copy, true, status);
}

const baton_kv_table kv_table = {
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
