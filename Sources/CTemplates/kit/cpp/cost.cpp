// SPDX-License-Identifier: Apache-2.0
// Step 7: what work would take, asked before anything is opened. Give the source of every figure of a real device beside the figure.
#include "device.hpp"

#include <algorithm>

namespace {

/// Guesses for one core of a processor: the order of what this driver does, not a measurement.
constexpr double flops_per_second = 4e9, bytes_per_second = 2e9, launch_seconds = 20e-6;

/// What a program's weights hold, and its KV for a token.
struct Shape {
  uint64_t weight_bytes = 0, weight_elements = 0, kv_elements = 0;

  explicit Shape(const baton_program_desc *desc) {
    if (desc == nullptr || !BATON_HAS(desc, baton_program_desc, max_context) || desc->tensors == nullptr)
      throw Failure(BATON_INVALID_ARGUMENT, "a cost needs a program's description");
    for (uint32_t i = 0; i < desc->tensor_count; i++) {
      const baton_tensor &tensor = at(desc->tensors, i);
      if (tensor.role != BATON_TENSOR_WEIGHT || tensor.rank < 1 || tensor.rank > 2 || dtype_elements(tensor.dtype) == 0) continue;
      uint64_t elements = uint64_t(tensor.dims[0]) * (tensor.rank == 2 ? uint64_t(tensor.dims[1]) : 1);
      weight_elements += elements;
      weight_bytes += elements / dtype_elements(tensor.dtype) * dtype_bytes(tensor.dtype);
    }
    kv_elements = 2ull * desc->layer_count * desc->kv_heads * desc->head_dim;
  }
};

uint64_t nanoseconds(double seconds) { return uint64_t((launch_seconds + seconds) * 1e9); }

baton_code estimate(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out, baton_status *status) {
  return guarded(status, [&] {
    read_options(options);
    Shape shape(desc);
    if (work == nullptr || !BATON_HAS(work, baton_work, bytes)) throw Failure(BATON_INVALID_ARGUMENT, "an estimate needs a struct of work with its size");
    baton_cost cost{};
    cost.clock = BATON_CLOCK_WALL;
    if (work->kind != BATON_WORK_RUN) {
      cost.bytes = 2 * work->bytes;
      cost.time_ns = nanoseconds(double(cost.bytes) / bytes_per_second);
      return give(out, cost);
    }
    if (work->token_count > max_tokens || work->sequence_count > max_sequences)
      throw Failure(BATON_OUT_OF_RANGE, text(work->token_count, " tokens in ", work->sequence_count, " sequences; ", max_tokens, " in ", max_sequences, " are the most"));
    cost.flops = 2 * shape.weight_elements * work->token_count + 2 * shape.kv_elements * work->context_tokens;
    cost.bytes = shape.weight_bytes + shape.kv_elements * 4 * work->context_tokens;
    cost.padded = work->token_count;
    cost.time_ns = nanoseconds(std::max(double(cost.flops) / flops_per_second, double(cost.bytes) / bytes_per_second));
    give(out, cost);
  });
}

baton_code memory(const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype, baton_memory_need *out, baton_status *status) {
  return guarded(status, [&] {
    Shape shape(desc);
    baton_memory_need need{};
    need.weight_bytes = shape.weight_bytes;
    need.available_bytes = read_options(options).memory;
    if (__builtin_mul_overflow(shape.kv_elements * dtype_bytes(kv_dtype), kv_tokens, &need.kv_bytes)) need.kv_bytes = UINT64_MAX;
    uint64_t sum;
    need.fits = !__builtin_add_overflow(need.weight_bytes, need.kv_bytes, &sum) && sum <= need.available_bytes;
    give(out, need);
  });
}

} // namespace

const baton_cost_table cost_table = {sizeof cost_table, 0, estimate, memory};
