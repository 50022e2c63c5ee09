// SPDX-License-Identifier: Apache-2.0
// Programs: a stage as a graph of tensor operations, and running a batch of tokens through it.
// Dimensions: T tokens in the batch, R rows wanted by `rows`. Tensors are dense, row-major, slowest dimension first.
#ifndef BATON_PROGRAM_H
#define BATON_PROGRAM_H

#include "buffer.h"
#include "event.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct baton_program baton_program;
typedef struct baton_kv_pool baton_kv_pool;

#define BATON_DIM_TOKENS ((int64_t)-1) // T
#define BATON_DIM_ROWS ((int64_t)-2)   // R

typedef int32_t baton_tensor_role;
enum { BATON_TENSOR_WEIGHT = 1, BATON_TENSOR_ACTIVATION = 2, BATON_TENSOR_INPUT = 3, BATON_TENSOR_OUTPUT = 4 };

typedef struct baton_tensor {
  uint32_t size;
  baton_tensor_role role;
  baton_string name;
  baton_dtype dtype;     // weights: as stored; all others F32
  uint32_t rank;         // 1 or 2
  int64_t dims[4];       // a count, BATON_DIM_TOKENS or BATON_DIM_ROWS; a block type's blocks lie along the last dimension
  baton_buffer *buffer;  // weights: where the bytes are; null in a description without weights (cost.h), which compile refuses
  uint64_t offset;       // of the first byte in `buffer`
} baton_tensor;

typedef uint32_t baton_op_kind;
enum {                            // inputs -> output
  BATON_OP_EMBED = 1,             // weight [V, D] -> [T, D]: row tokens[t]
  BATON_OP_RMS_NORM = 2,          // x [N, D], weight [D] -> x / sqrt(mean(x^2) + epsilon) * weight
  BATON_OP_LINEAR = 3,            // x [N, I], weight [O, I], optionally bias [O] -> x weight^T + bias, [N, O]
  BATON_OP_ROPE = 4,              // x [T, heads * head_dim] -> the first rope_dims of each head turned by its token's position
  BATON_OP_ATTENTION = 5,         // q [T, heads * head_dim], k, v [T, kv_heads * head_dim] -> [T, heads * head_dim]. Writes k and v into the
                                  // batch's KV pool at `layer`, then attends causally over the sequence's KV; softmax in f32
  BATON_OP_SWIGLU = 6,            // gate [N, F], up [N, F] -> gate * sigmoid(gate) * up
  BATON_OP_ADD = 7,               // a [N, D], b [N, D] or [D]
  BATON_OP_MUL = 8,               // a [N, D], b [N, D] or [D]
  BATON_OP_SCALE = 9,             // x -> x * scale
  BATON_OP_SOFTCAP = 10,          // x -> cap * tanh(x / cap)
  BATON_OP_SELECT_ROWS = 11       // x [T, D] -> [R, D]: the batch's `rows`
};

typedef int32_t baton_rope_style;
enum {
  BATON_ROPE_INTERLEAVED = 1, // turns pairs (2i, 2i + 1), as GGUF stores the Llama family
  BATON_ROPE_SPLIT_HALF = 2   // turns pairs (i, i + rope_dims / 2)
};

/// One operation. Fields a kind does not use are 0. Inputs and output are indices into baton_program_desc.tensors; an operation comes
/// after those that make its inputs, and each activation is made once.
typedef struct baton_op {
  uint32_t size;
  baton_op_kind kind;
  int32_t layer;         // of the whole model, from 0; -1 outside the layers
  uint32_t input_count;
  uint32_t inputs[4];
  uint32_t output;
  uint32_t heads;        // ROPE, ATTENTION
  uint32_t kv_heads;     // ATTENTION; divides heads
  uint32_t head_dim;     // ROPE, ATTENTION
  uint32_t rope_dims;    // ROPE
  baton_rope_style rope_style;
  float rope_base;       // ROPE: angle = position * rope_scale * rope_base^(-2i / rope_dims)
  float rope_scale;
  float epsilon;         // RMS_NORM
  float scale;           // ATTENTION: on q.k before softmax; SCALE
  float cap;             // SOFTCAP; ATTENTION: on the scores, 0 for none
  uint32_t window;       // ATTENTION: attends to the last `window` positions, 0 for all
} baton_op;

/// A stage, or a part of one when it is split by layers.
typedef struct baton_program_desc {
  uint32_t size;
  uint32_t tensor_count;
  const baton_tensor *tensors;
  const baton_op *ops;
  uint32_t op_count;
  uint32_t first_layer;     // the layers of the model it holds
  uint32_t layer_count;
  uint32_t kv_heads;        // of its KV, the same in every layer
  uint32_t head_dim;
  uint32_t max_tokens;      // T of the largest batch it will be given
  uint32_t max_sequences;
  uint32_t max_context;     // KV tokens of the longest sequence
  /// Called now and then while compiling with a fraction 0 .. 1; null for none.
  void (*progress)(void *user, double fraction);
  void *progress_user;
} baton_program_desc;

typedef struct baton_program_info {
  uint32_t size;
  uint32_t bucket_count;     // token buckets it was compiled for; 0 when shapes are dynamic
  const uint32_t *buckets;   // valid while the program lives
  uint64_t weight_bytes;     // device memory its weights take, imported host memory not counted
  uint64_t workspace_bytes;  // device memory it takes to run
} baton_program_info;

/// A tensor of role INPUT or OUTPUT and the buffer it lies in. Weights and activations are never bound.
typedef struct baton_binding {
  uint32_t size;
  uint32_t tensor;
  baton_buffer *buffer; // at least N * D f32 from `offset`
  uint64_t offset;
} baton_binding;

/// One batch: chunked prefill, batched decode and mixtures of both are all this one struct.
/// Tokens of a sequence are contiguous and in order of position. Position p of sequence s lies in KV block
/// block_tables[s * block_table_stride + p / block_tokens]. Token t attends to positions 0 .. positions[t] of its sequence.
typedef struct baton_batch {
  uint32_t size;
  uint32_t token_count;            // T, at least 1
  uint32_t sequence_count;
  uint32_t row_count;              // R, may be 0
  const uint32_t *tokens;          // [T] token ids; may be null when the program takes hidden states
  const uint32_t *positions;       // [T] from 0
  const uint32_t *sequences;       // [T] 0 .. sequence_count - 1
  const uint32_t *block_tables;    // [sequence_count][block_table_stride]
  const uint32_t *rows;            // [R] token indices whose output is wanted
  uint32_t block_table_stride;
  uint32_t binding_count;
  const baton_binding *bindings;
  baton_kv_pool *pool;             // null when the program has no attention
  uint64_t tag;                    // the host's number for this batch, for logs and traces
} baton_batch;

struct baton_program_table {
  uint32_t size;
  uint32_t reserved;

  /// Compiles for the device: fuses, repacks weights, chooses buckets. The driver copies what it keeps of `desc`; weight buffers must outlive
  /// the program. Ownership: the caller's, until release. Blocking: yes, perhaps for minutes; reports through desc->progress. Any thread.
  /// Errors: INVALID_ARGUMENT names the tensor or operation; UNIMPLEMENTED an operation or dtype it lacks; RESOURCE_EXHAUSTED when it does
  /// not fit, with bytes needed and bytes free. Since: 1.0
  baton_code (*compile)(baton_device *device, const baton_program_desc *desc, baton_program **out, baton_status *status);

  /// What compile made. Does not block. Any thread. Since: 1.0
  baton_code (*info)(baton_device *device, baton_program *program, baton_program_info *out, baton_status *status);

  /// Frees it. No submit of it may be unfinished. Null is allowed. Since: 1.0
  void (*release)(baton_device *device, baton_program *program);

  /// Submits one batch. Returns before the device has run it. Submits on one queue run in order.
  /// Ownership: `batch`, `sync` and what they point to may be reused as soon as this returns; buffers, pool and timelines may not.
  /// Blocking: never; a full queue is RESOURCE_EXHAUSTED. Any thread; calls on one queue are ordered by the caller.
  /// Errors: INVALID_ARGUMENT when a token, row, sequence or block index is outside its range; OUT_OF_RANGE past the program's largest shape;
  /// FAILED_PRECONDITION after quiesce. Later failures fail the signalled timelines. Since: 1.0
  baton_code (*submit)(baton_device *device, baton_program *program, const baton_batch *batch, const baton_sync *sync, baton_status *status);
};

// Rules. `baton driver test` checks each against a driver's library.
// D35: EMBED gives the weight's row of each token, in every weight dtype the device lists.
// D36: RMS_NORM divides by the root of the mean square plus epsilon, and multiplies by the weight.
// D37: LINEAR multiplies by the transposed weight and adds the bias, in every weight dtype the device lists.
// D38: ROPE turns the first rope_dims of each head by its position, in both styles, and leaves the rest.
// D39: ATTENTION is causal over the sequence's KV, grouped by KV head, scaled, capped and windowed as stated.
// D40: SWIGLU is gate * sigmoid(gate) * up.
// D41: ADD adds element by element, or one row to all.
// D42: MUL multiplies element by element, or all rows by one.
// D43: SCALE multiplies by scale.
// D44: SOFTCAP is cap * tanh(x / cap).
// D45: SELECT_ROWS gives the batch's rows, in their order.
// D46: Elements of an array of structs are as far apart as the first one's size says.
// D47: compile refuses a program that is not sound with INVALID_ARGUMENT.
// D48: submit refuses a token, row, sequence or block outside its range with INVALID_ARGUMENT.
// D49: submit refuses more tokens or sequences than the program was compiled for with OUT_OF_RANGE.
// D50: Sequences in one batch give what each gives alone.
// D51: Which blocks a table names changes no result.
// D52: A prompt in chunks gives what the whole prompt gives.
// D53: submit returns before the device has run the batch.
// D54: A queue holds queue_depth submits; one more is refused with RESOURCE_EXHAUSTED.
// D55: Threads that submit at the same time do not disturb one another.
// D56: What a batch points to may be reused as soon as submit has returned.
// D57: Opening, compiling, running and releasing again and again takes no more memory.

#ifdef __cplusplus
}
#endif
#endif
