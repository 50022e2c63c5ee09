// SPDX-License-Identifier: Apache-2.0
// Step 7: what work would take, asked before anything is opened. Give the source of every figure of a real device beside the figure.
#include "device.h"


/// Guesses for one core of a processor: the order of what this driver does, not a measurement.
static const double flops_per_second = 4e9, bytes_per_second = 2e9, launch_seconds = 20e-6;

/// Bytes and multiply-adds per token of a program's weights, and bytes of its KV per token in f32.
typedef struct shape {
  uint64_t weight_bytes, weight_elements, kv_elements;
} shape;

static baton_code read_shape(const baton_program_desc *desc, shape *out, baton_status *status) {
  *out = (shape){0};
  if (desc == NULL || !BATON_HAS(desc, baton_program_desc, max_context) || desc->tensors == NULL)
    return refuse(status, BATON_INVALID_ARGUMENT, "a cost needs a program's description");
  for (uint32_t i = 0; i < desc->tensor_count; i++) {
    const baton_tensor *tensor = AT(desc->tensors, i);
    if (tensor->role != BATON_TENSOR_WEIGHT || tensor->rank < 1 || tensor->rank > 2 || dtype_elements(tensor->dtype) == 0) continue;
    uint64_t elements = (uint64_t)tensor->dims[0] * (tensor->rank == 2 ? (uint64_t)tensor->dims[1] : 1);
    out->weight_elements += elements;
    out->weight_bytes += elements / dtype_elements(tensor->dtype) * dtype_bytes(tensor->dtype);
  }
  out->kv_elements = 2ull * desc->layer_count * desc->kv_heads * desc->head_dim;
  return BATON_OK;
}

static baton_code cost_estimate(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out, baton_status *status) {
  settings settings;
  shape shape;
  baton_code code = read_options(options, &settings, status);
  if (code == BATON_OK) code = read_shape(desc, &shape, status);
  if (code != BATON_OK) return code;
  if (work == NULL || !BATON_HAS(work, baton_work, bytes)) return refuse(status, BATON_INVALID_ARGUMENT, "an estimate needs a struct of work with its size");
  baton_cost cost = {.clock = BATON_CLOCK_WALL};
  if (work->kind != BATON_WORK_RUN) {
    cost.bytes = 2 * work->bytes;
    cost.time_ns = (uint64_t)((launch_seconds + (double)cost.bytes / bytes_per_second) * 1e9);
    return give(out, out->size, &cost, sizeof cost);
  }
  if (work->token_count > MAX_TOKENS || work->sequence_count > MAX_SEQUENCES)
    return refuse(status, BATON_OUT_OF_RANGE, "%u tokens in %u sequences; %d in %d are the most", work->token_count, work->sequence_count, MAX_TOKENS, MAX_SEQUENCES);
  cost.flops = 2 * shape.weight_elements * work->token_count + 2 * shape.kv_elements * work->context_tokens;
  cost.bytes = shape.weight_bytes + shape.kv_elements * 4 * work->context_tokens;
  cost.padded = work->token_count;
  double compute = (double)cost.flops / flops_per_second, memory = (double)cost.bytes / bytes_per_second;
  cost.time_ns = (uint64_t)((launch_seconds + (compute > memory ? compute : memory)) * 1e9);
  return give(out, out->size, &cost, sizeof cost);
}

static baton_code cost_memory(const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype, baton_memory_need *out,
                              baton_status *status) {
  settings settings;
  shape shape;
  baton_code code = read_options(options, &settings, status);
  if (code == BATON_OK) code = read_shape(desc, &shape, status);
  if (code != BATON_OK) return code;
  baton_memory_need need = {.weight_bytes = shape.weight_bytes, .available_bytes = settings.memory};
  if (__builtin_mul_overflow(shape.kv_elements * dtype_bytes(kv_dtype), kv_tokens, &need.kv_bytes)) need.kv_bytes = UINT64_MAX;
  uint64_t sum;
  need.fits = !__builtin_add_overflow(need.weight_bytes, need.kv_bytes, &sum) && sum <= need.available_bytes;
  return give(out, out->size, &need, sizeof need);
}

const baton_cost_table cost_table = {
    .size = sizeof cost_table,
    .estimate = cost_estimate,
    .memory = cost_memory,
};
