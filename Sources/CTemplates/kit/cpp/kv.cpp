// SPDX-License-Identifier: Apache-2.0
// Step 5: pools of KV blocks, and moving KV in and out of them in a stated layout.
#include "device.hpp"

#include <array>

namespace {

using Axes = std::array<uint8_t, 6>;
/// Own storage first, which asks for no work but the copy; then a plain order that every device can talk to.
const Axes storage_axes = {BATON_AXIS_BLOCK, BATON_AXIS_LAYER, BATON_AXIS_PLANE, BATON_AXIS_HEAD, BATON_AXIS_TOKEN, BATON_AXIS_DIM};
const Axes plain_axes = {BATON_AXIS_LAYER, BATON_AXIS_PLANE, BATON_AXIS_BLOCK, BATON_AXIS_TOKEN, BATON_AXIS_HEAD, BATON_AXIS_DIM};

bool is_kv_dtype(baton_dtype dtype) { return dtype == BATON_F32 || dtype == BATON_F16 || dtype == BATON_BF16; }

void check_pool(const baton_kv_pool_desc *desc) {
  if (desc == nullptr || !BATON_HAS(desc, baton_kv_pool_desc, rope_style)) throw Failure(BATON_INVALID_ARGUMENT, "a pool needs a description with its size");
  if (!is_kv_dtype(desc->dtype)) throw Failure(BATON_INVALID_ARGUMENT, text("a pool in dtype ", desc->dtype, "; f32, f16 and bf16 are held"));
  if (desc->block_count == 0 || desc->block_tokens == 0 || desc->block_tokens > 4096 || desc->layers == 0 || desc->kv_heads == 0 || desc->head_dim == 0)
    throw Failure(BATON_INVALID_ARGUMENT, text("a pool of ", desc->block_count, " blocks of ", desc->block_tokens, " tokens, ", desc->layers, " layers, ",
                                               desc->kv_heads, " heads of ", desc->head_dim, "; each is 1 or more"));
}

/// Bytes of so many layers and blocks; UINT64_MAX when there are too many to count.
uint64_t kv_bytes(const baton_kv_pool_desc &desc, baton_dtype dtype, uint64_t layers, uint64_t blocks) {
  uint64_t total = 2 * dtype_bytes(dtype);
  for (uint64_t factor : {layers, blocks, uint64_t(desc.kv_heads), uint64_t(desc.block_tokens), uint64_t(desc.head_dim)})
    if (__builtin_mul_overflow(total, factor, &total)) return UINT64_MAX;
  return total;
}

baton_kv_layout make_layout(const baton_kv_pool_desc &desc, baton_dtype dtype, const Axes &axes) {
  baton_kv_layout layout{};
  layout.size = sizeof layout;
  layout.dtype = dtype;
  std::memcpy(layout.axes, axes.data(), axes.size());
  layout.block_tokens = desc.block_tokens;
  layout.kv_heads = desc.kv_heads;
  layout.head_dim = desc.head_dim;
  layout.layers = desc.layers;
  layout.rope_applied = 1;
  layout.rope_style = desc.rope_style;
  return layout;
}

baton_code layouts(const baton_options *, const baton_kv_pool_desc *desc, uint32_t, baton_kv_layout *out, uint32_t capacity, uint32_t *count, baton_status *status) {
  return guarded(status, [&] {
    check_pool(desc);
    std::vector<baton_kv_layout> all = {make_layout(*desc, desc->dtype, storage_axes)};
    for (baton_dtype dtype : {BATON_F32, BATON_F16, BATON_BF16})
      if (dtype != desc->dtype) all.push_back(make_layout(*desc, dtype, storage_axes));
    all.push_back(make_layout(*desc, BATON_F16, plain_axes));
    uint32_t stride = capacity > 0 && out->size > 0 ? out->size : uint32_t(sizeof *out);
    for (uint32_t i = 0; i < all.size() && i < capacity; i++)
      give(reinterpret_cast<baton_kv_layout *>(reinterpret_cast<char *>(out) + uint64_t(i) * stride), stride, all[i]);
    *count = uint32_t(all.size());
  });
}

/// A pool over `base`, or over storage of its own with null.
void make_pool(baton_device *device, const baton_kv_pool_desc *desc, uint8_t *base, baton_kv_pool **out) {
  auto pool = std::make_shared<baton_kv_pool>();
  std::memcpy(&pool->desc, desc, desc->size < sizeof pool->desc ? desc->size : sizeof pool->desc);
  pool->bytes = kv_bytes(*desc, desc->dtype, desc->layers, desc->block_count);
  pool->base = base;
  std::shared_ptr<void> charge;
  if (base == nullptr) {
    charge = device->charge(pool->bytes, "a KV pool");
    pool->own.resize(pool->bytes);
    pool->base = pool->own.data();
  }
  *out = device->keep(std::shared_ptr<baton_kv_pool>(pool.get(), [pool, charge](baton_kv_pool *) mutable { pool.reset(), charge.reset(); }));
}

baton_code create(baton_device *device, const baton_kv_pool_desc *desc, baton_kv_pool **out, baton_status *status) {
  return guarded(status, [&] {
    check_pool(desc);
    make_pool(device, desc, nullptr, out);
  });
}

void release(baton_device *device, baton_kv_pool *pool) { device->drop(pool); }

baton_code share(baton_device *, baton_kv_pool *pool, baton_memory_kind kind, baton_memory *memory, baton_kv_layout *layout, baton_status *status) {
  return guarded(status, [&] {
    if (kind != BATON_MEMORY_HOST) throw Failure(BATON_UNIMPLEMENTED, text("a pool is named as HOST memory only, not kind ", kind));
    give(memory, baton_memory{0, kind, reinterpret_cast<uint64_t>(pool->base), -1, 0, 0, pool->bytes});
    give(layout, make_layout(pool->desc, pool->desc.dtype, storage_axes));
  });
}

bool same(const baton_kv_layout &a, const baton_kv_layout &b) {
  return a.dtype == b.dtype && std::memcmp(a.axes, b.axes, 6) == 0 && a.block_tokens == b.block_tokens && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim &&
         a.layers == b.layers && a.rope_applied == b.rope_applied && a.rope_style == b.rope_style && a.scale_mode == b.scale_mode;
}

baton_code adopt(baton_device *device, const baton_kv_pool_desc *desc, const baton_memory *memory, const baton_kv_layout *layout, baton_kv_pool **out, baton_status *status) {
  return guarded(status, [&] {
    check_pool(desc);
    if (memory->kind != BATON_MEMORY_HOST || memory->address == 0 || !same(*layout, make_layout(*desc, desc->dtype, storage_axes)))
      throw Failure(BATON_UNIMPLEMENTED, "only HOST memory in this driver's own layout is adopted; export and import instead");
    uint64_t bytes = kv_bytes(*desc, desc->dtype, desc->layers, desc->block_count);
    if (memory->length < bytes) throw Failure(BATON_OUT_OF_RANGE, text("a pool of ", bytes, " bytes over ", memory->length, " that are shared"));
    make_pool(device, desc, reinterpret_cast<uint8_t *>(memory->address) + memory->offset, out);
  });
}

// --- Moving ranges.

struct Move {
  baton_kv_pool *pool;
  bool exporting;
  uint32_t first_layer, layer_count, token_count;
  std::vector<uint32_t> blocks;
  baton_dtype dtype;
  uint64_t steps[7]; // how far apart the elements of an axis are
  uint8_t *base;
  std::shared_ptr<void> mapping;

  void row(uint8_t *stored, uint8_t *memory, bool counts) const;
  void run() const;
};

/// One row of head_dim elements.
void Move::row(uint8_t *stored, uint8_t *memory, bool counts) const {
  uint32_t width = dtype_bytes(dtype), own = dtype_bytes(pool->desc.dtype);
  for (uint32_t i = 0; i < pool->desc.head_dim; i++) {
    float value = 0;
    uint8_t *there = memory + i * steps[BATON_AXIS_DIM] * width;
    if (exporting) {
      if (counts) decode(pool->desc.dtype, stored + uint64_t(i) * own, 1, &value);
      encode(dtype, &value, 1, there);
    } else if (counts) {
      decode(dtype, there, 1, &value);
      encode(pool->desc.dtype, &value, 1, stored + uint64_t(i) * own);
    }
  }
}

void Move::run() const {
  for (uint32_t layer = 0; layer < layer_count; layer++)
    for (uint32_t block = 0; block < blocks.size(); block++)
      for (uint32_t plane = 0; plane < 2; plane++)
        for (uint32_t head = 0; head < pool->desc.kv_heads; head++)
          for (uint32_t token = 0; token < pool->desc.block_tokens; token++) {
            uint64_t place = layer * steps[BATON_AXIS_LAYER] + block * steps[BATON_AXIS_BLOCK] + plane * steps[BATON_AXIS_PLANE] + head * steps[BATON_AXIS_HEAD] +
                             token * steps[BATON_AXIS_TOKEN];
            row(pool->row(first_layer + layer, blocks[block], plane, head, token), base + place * dtype_bytes(dtype),
                uint64_t(block) * pool->desc.block_tokens + token < token_count);
          }
}

void check_range(const baton_kv_pool_desc &desc, const baton_kv_range *range) {
  if (range == nullptr || !BATON_HAS(range, baton_kv_range, token_count)) throw Failure(BATON_INVALID_ARGUMENT, "a range needs a struct with its size");
  if (range->first_layer < desc.first_layer || range->layer_count > desc.layers || range->first_layer - desc.first_layer > desc.layers - range->layer_count)
    throw Failure(BATON_INVALID_ARGUMENT, text(range->layer_count, " layers from ", range->first_layer, " of a pool of ", desc.layers, " from ", desc.first_layer));
  for (uint32_t i = 0; i < range->block_count; i++)
    if (range->blocks[i] >= desc.block_count) throw Failure(BATON_INVALID_ARGUMENT, text("block ", range->blocks[i], " of a pool of ", desc.block_count));
}

void check_layout(const baton_kv_pool_desc &desc, const baton_kv_layout *layout) {
  if (layout == nullptr || !BATON_HAS(layout, baton_kv_layout, scale_mode)) throw Failure(BATON_INVALID_ARGUMENT, "a layout needs a struct with its size");
  uint32_t seen = 0;
  for (int i = 0; i < 6; i++) seen |= layout->axes[i] <= 6 ? 1u << layout->axes[i] : 0;
  if (seen != 0x7E) throw Failure(BATON_INVALID_ARGUMENT, "a layout has each of the six axes once");
  if (layout->block_tokens != desc.block_tokens || layout->kv_heads != desc.kv_heads || layout->head_dim != desc.head_dim)
    throw Failure(BATON_INVALID_ARGUMENT, text("a layout of ", layout->block_tokens, " tokens a block, ", layout->kv_heads, " heads of ", layout->head_dim,
                                               " for a pool of ", desc.block_tokens, ", ", desc.kv_heads, " of ", desc.head_dim));
  if (!is_kv_dtype(layout->dtype) || layout->scale_mode != BATON_KV_SCALE_NONE || layout->rope_applied != 1 || layout->rope_style != desc.rope_style)
    throw Failure(BATON_UNIMPLEMENTED, "KV is exchanged as f32, f16 or bf16 without scales, K after rope as the pool has it");
}

void move_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout, const baton_memory *memory,
                const baton_sync *sync, bool exporting) {
  const baton_kv_pool_desc &desc = pool->desc;
  check_range(desc, range);
  check_layout(desc, layout);
  uint64_t needed = kv_bytes(desc, layout->dtype, range->layer_count, range->block_count);
  if (memory == nullptr || !BATON_HAS(memory, baton_memory, length) || memory->length < needed)
    throw Failure(BATON_OUT_OF_RANGE, text("the range takes ", needed, " bytes, more than the memory has"));
  auto move = std::make_shared<Move>();
  *move = {pool, exporting, range->first_layer, range->layer_count, range->token_count, {range->blocks, range->blocks + range->block_count}, layout->dtype, {}, nullptr, nullptr};
  uint64_t extents[7] = {1, range->layer_count, range->block_count, 2, desc.kv_heads, desc.block_tokens, desc.head_dim}, step = 1;
  for (int i = 5; i >= 0; i--) {
    move->steps[layout->axes[i]] = step;
    step *= extents[layout->axes[i]];
  }
  move->base = reach_memory(memory, exporting, move->mapping);
  device->take(sync, [move](Work &) { move->run(); }, true);
}

baton_code export_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout, const baton_memory *memory,
                        const baton_sync *sync, baton_status *status) {
  return guarded(status, [&] { move_range(device, pool, range, layout, memory, sync, true); });
}

baton_code import_range(baton_device *device, baton_kv_pool *pool, const baton_kv_range *range, const baton_kv_layout *layout, const baton_memory *memory,
                        const baton_sync *sync, baton_status *status) {
  return guarded(status, [&] { move_range(device, pool, range, layout, memory, sync, false); });
}

baton_code copy_blocks(baton_device *device, baton_kv_pool *pool, const uint32_t *from, const uint32_t *to, uint32_t count, const baton_sync *sync, baton_status *status) {
  return guarded(status, [&] {
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    for (uint32_t i = 0; i < count; i++) {
      if (from[i] >= pool->desc.block_count || to[i] >= pool->desc.block_count)
        throw Failure(BATON_INVALID_ARGUMENT, text("block ", from[i], " to ", to[i], " of a pool of ", pool->desc.block_count));
      pairs.emplace_back(from[i], to[i]);
    }
    device->take(sync, [pool, pairs](Work &) {
      uint64_t block = pool->bytes / pool->desc.block_count;
      for (auto [source, target] : pairs) std::memmove(pool->base + target * block, pool->base + source * block, block);
    }, true);
  });
}

} // namespace

uint8_t *baton_kv_pool::row(uint32_t layer, uint32_t block, uint32_t plane, uint32_t head, uint32_t token) const {
  uint64_t row = ((((uint64_t)block * desc.layers + (layer - desc.first_layer)) * 2 + plane) * desc.kv_heads + head) * desc.block_tokens + token;
  return base + row * desc.head_dim * dtype_bytes(desc.dtype);
}

const baton_kv_table kv_table = {sizeof kv_table, 0, layouts, create, release, share, adopt, export_range, import_range, copy_blocks};
