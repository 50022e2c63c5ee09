// SPDX-License-Identifier: Apache-2.0
// Step 6, first part: compiling. Proves the graph, copies it, and plans where activations lie.
#include "device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- Tensors.

static bool is_dim(int64_t dim) { return (dim > 0 && dim < (1 << 30)) || dim == BATON_DIM_TOKENS || dim == BATON_DIM_ROWS; }

static baton_code read_weight(const baton_tensor *raw, tensor *out, uint64_t *weight_bytes, baton_status *status) {
  uint32_t elements = dtype_elements(raw->dtype);
  if (elements == 0) return refuse(status, BATON_UNIMPLEMENTED, "weight '%s' is in dtype %u, which this device does not take", out->name, raw->dtype);
  if (out->rows < 1 || out->columns % elements != 0)
    return refuse(status, BATON_INVALID_ARGUMENT, "weight '%s' has %lld rows of %llu; rows are whole blocks of %u", out->name, (long long)out->rows,
                  (unsigned long long)out->columns, elements);
  if (raw->buffer == NULL) return refuse(status, BATON_INVALID_ARGUMENT, "weight '%s' lies in no buffer", out->name);
  uint64_t needed = (uint64_t)out->rows * (out->columns / elements) * dtype_bytes(raw->dtype);
  if (raw->offset > raw->buffer->length || needed > raw->buffer->length - raw->offset)
    return refuse(status, BATON_INVALID_ARGUMENT, "weight '%s' takes %llu bytes at %llu of a buffer of %llu", out->name, (unsigned long long)needed,
                  (unsigned long long)raw->offset, (unsigned long long)raw->buffer->length);
  out->bytes = raw->buffer->base + raw->offset;
  *weight_bytes += needed;
  return BATON_OK;
}

static baton_code read_tensor(const baton_tensor *raw, tensor *out, uint64_t *weight_bytes, baton_status *status) {
  int length = raw->name.length < sizeof out->name - 1 ? (int)raw->name.length : (int)sizeof out->name - 1;
  snprintf(out->name, sizeof out->name, "%.*s", length, raw->name.data == NULL ? "" : raw->name.data);
  if (raw->role < BATON_TENSOR_WEIGHT || raw->role > BATON_TENSOR_OUTPUT) return refuse(status, BATON_INVALID_ARGUMENT, "'%s' has role %d", out->name, raw->role);
  if (raw->rank < 1 || raw->rank > 2) return refuse(status, BATON_INVALID_ARGUMENT, "'%s' has rank %u; 1 or 2 is due", out->name, raw->rank);
  int64_t columns = raw->dims[raw->rank - 1];
  out->role = raw->role;
  out->dtype = raw->dtype;
  out->rank = raw->rank;
  out->rows = raw->rank == 1 ? 1 : raw->dims[0];
  out->columns = (uint64_t)columns;
  out->slot = -1;
  if (columns < 1 || columns >= 1 << 24 || !is_dim(out->rows))
    return refuse(status, BATON_INVALID_ARGUMENT, "'%s' has %lld rows of %lld; each is 1 or more", out->name, (long long)out->rows, (long long)columns);
  if (raw->role == BATON_TENSOR_WEIGHT) return read_weight(raw, out, weight_bytes, status);
  return raw->dtype == BATON_F32 ? BATON_OK : refuse(status, BATON_INVALID_ARGUMENT, "'%s' is no weight and not in f32", out->name);
}

// --- Operations.

#define WRONG(...) refuse(status, BATON_INVALID_ARGUMENT, __VA_ARGS__)

static bool has_shape(const tensor *tensor, int64_t rows, uint64_t columns) { return tensor->rank == 2 && tensor->rows == rows && tensor->columns == columns; }
static bool same_shape(const tensor *a, const tensor *b) { return a->rank == b->rank && a->rows == b->rows && a->columns == b->columns; }

/// A weight of `rows` rows; 1 for a vector, 0 for any matrix.
static bool is_weight(const tensor *tensor, uint64_t rows, uint64_t columns) {
  return tensor->role == BATON_TENSOR_WEIGHT && tensor->columns == columns && (rows == 1 ? tensor->rank == 1 : tensor->rank == 2);
}

static baton_code check_rope(const baton_op *op, const tensor *x, const tensor *out, baton_status *status) {
  if (op->heads == 0 || !has_shape(x, BATON_DIM_TOKENS, (uint64_t)op->heads * op->head_dim) || !same_shape(x, out))
    return WRONG("rope over %u heads of %u of '%s', which has %llu columns", op->heads, op->head_dim, x->name, (unsigned long long)x->columns);
  if (op->rope_dims == 0 || op->rope_dims % 2 != 0 || op->rope_dims > op->head_dim || (op->rope_style != 1 && op->rope_style != 2) || !(op->rope_base > 0) ||
      !isfinite(op->rope_base) || !isfinite(op->rope_scale))
    return WRONG("rope turns %u of %u elements in style %d from base %g", op->rope_dims, op->head_dim, op->rope_style, (double)op->rope_base);
  return BATON_OK;
}

static baton_code check_attention(const baton_op *op, const baton_program *program, const tensor *in[3], const tensor *out, baton_status *status) {
  if (op->kv_heads == 0 || op->heads == 0 || op->heads % op->kv_heads != 0) return WRONG("%u heads over %u KV heads; the second divides the first", op->heads, op->kv_heads);
  uint64_t width = (uint64_t)op->kv_heads * op->head_dim;
  if (op->head_dim == 0 || !has_shape(in[0], BATON_DIM_TOKENS, (uint64_t)op->heads * op->head_dim) || !has_shape(in[1], BATON_DIM_TOKENS, width) ||
      !has_shape(in[2], BATON_DIM_TOKENS, width) || !same_shape(in[0], out))
    return WRONG("attention of %u heads over %u of %u does not fit '%s', '%s' and '%s'", op->heads, op->kv_heads, op->head_dim, in[0]->name, in[1]->name, in[2]->name);
  if (op->kv_heads != program->kv_heads || op->head_dim != program->head_dim || op->layer < 0)
    return WRONG("attention at layer %d with %u KV heads of %u in a program of %u of %u", op->layer, op->kv_heads, op->head_dim, program->kv_heads, program->head_dim);
  return isfinite(op->scale) && isfinite(op->cap) && op->cap >= 0 ? BATON_OK : WRONG("attention's scale %g and cap %g", (double)op->scale, (double)op->cap);
}

static baton_code check_shapes(const baton_op *op, baton_program *program, baton_status *status) {
  static const uint8_t fewest[] = {0, 1, 2, 2, 1, 3, 2, 2, 2, 1, 1, 1}, most[] = {0, 1, 2, 3, 1, 3, 2, 2, 2, 1, 1, 1};
  if (op->kind == 0 || op->kind > BATON_OP_SELECT_ROWS) return refuse(status, BATON_UNIMPLEMENTED, "operation %u is not one this driver knows", op->kind);
  if (op->input_count < fewest[op->kind] || op->input_count > most[op->kind]) return WRONG("operation %u has %u inputs", op->kind, op->input_count);
  const tensor *out = &program->tensors[op->output], *in[3] = {0};
  for (uint32_t i = 0; i < op->input_count; i++) in[i] = &program->tensors[op->inputs[i]];
  bool fits = op->kind == BATON_OP_EMBED || in[0]->role != BATON_TENSOR_WEIGHT;
  switch (op->kind) {
    case BATON_OP_EMBED:
      fits = is_weight(in[0], 0, in[0]->columns) && has_shape(out, BATON_DIM_TOKENS, in[0]->columns);
      if (fits && (uint64_t)in[0]->rows < program->vocabulary) program->vocabulary = (uint64_t)in[0]->rows;
      break;
    case BATON_OP_RMS_NORM: fits = fits && is_weight(in[1], 1, in[0]->columns) && same_shape(in[0], out) && isfinite(op->epsilon) && op->epsilon >= 0; break;
    case BATON_OP_LINEAR:
      fits = fits && is_weight(in[1], 0, in[0]->columns) && has_shape(out, in[0]->rows, (uint64_t)in[1]->rows) && (in[2] == NULL || is_weight(in[2], 1, (uint64_t)in[1]->rows));
      break;
    case BATON_OP_ROPE: return fits ? check_rope(op, in[0], out, status) : WRONG("rope of a weight");
    case BATON_OP_ATTENTION: program->attends = true; return check_attention(op, program, in, out, status);
    case BATON_OP_SWIGLU: fits = fits && same_shape(in[0], in[1]) && same_shape(in[0], out) && in[1]->role != BATON_TENSOR_WEIGHT; break;
    case BATON_OP_ADD: case BATON_OP_MUL:
      fits = fits && same_shape(in[0], out) && (same_shape(in[0], in[1]) || (in[1]->rank == 1 && in[1]->columns == in[0]->columns));
      break;
    case BATON_OP_SCALE: fits = fits && same_shape(in[0], out) && isfinite(op->scale); break;
    case BATON_OP_SOFTCAP: fits = fits && same_shape(in[0], out) && isfinite(op->cap) && op->cap > 0; break;
    default: fits = fits && in[0]->rows == BATON_DIM_TOKENS && has_shape(out, BATON_DIM_ROWS, in[0]->columns);
  }
  return fits ? BATON_OK : WRONG("operation %u from '%s' to '%s': the shapes do not fit", op->kind, in[0]->name, out->name);
}

/// Indices, order, and that each activation is made once.
static baton_code check_op(const baton_op *op, baton_program *program, bool *made, baton_status *status) {
  if (op->input_count > 4) return WRONG("an operation has %u inputs; 4 is the most", op->input_count);
  for (uint32_t i = 0; i < op->input_count; i++) {
    if (op->inputs[i] >= program->tensor_count) return WRONG("input %u of %u tensors", op->inputs[i], program->tensor_count);
    if (!made[op->inputs[i]]) return WRONG("'%s' is used before it is made", program->tensors[op->inputs[i]].name);
  }
  if (op->output >= program->tensor_count || made[op->output]) return WRONG("output %u of %u tensors is none, or made already", op->output, program->tensor_count);
  if (op->layer != -1 && (op->layer < 0 || (uint32_t)op->layer < program->first_layer || (uint32_t)op->layer - program->first_layer >= program->layer_count))
    return WRONG("layer %d of %u from %u", op->layer, program->layer_count, program->first_layer);
  made[op->output] = true;
  return check_shapes(op, program, status);
}

static baton_code read_ops(const baton_program_desc *desc, baton_program *program, baton_status *status) {
  bool *made = calloc(program->tensor_count + 1, sizeof *made);
  if (made == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a program");
  for (uint32_t i = 0; i < program->tensor_count; i++) made[i] = program->tensors[i].role == BATON_TENSOR_WEIGHT || program->tensors[i].role == BATON_TENSOR_INPUT;
  baton_code code = BATON_OK;
  int32_t last = -1;
  for (uint32_t i = 0; i < desc->op_count && code == BATON_OK; i++) {
    const baton_op *raw = AT(desc->ops, i);
    if (!BATON_HAS(raw, baton_op, window)) code = WRONG("operation %u needs a struct with its size", i);
    else memcpy(&program->ops[i], raw, sizeof program->ops[i]);
    if (code == BATON_OK) code = check_op(&program->ops[i], program, made, status);
    if (code == BATON_OK && raw->kind == BATON_OP_ATTENTION) {
      if (raw->layer <= last) code = WRONG("layer %d attends after layer %d; each attends once, in order", raw->layer, last);
      last = raw->layer;
    }
  }
  for (uint32_t i = 0; i < program->tensor_count && code == BATON_OK; i++)
    if (program->tensors[i].role == BATON_TENSOR_OUTPUT && !made[i]) code = WRONG("output '%s' is made by no operation", program->tensors[i].name);
  free(made);
  return code;
}

// --- Slots: activations that are not needed at the same time share memory.

static baton_code plan_slots(baton_program *program, baton_status *status) {
  uint32_t *last_use = calloc(program->tensor_count + 1, sizeof *last_use);
  uint32_t *free_at = calloc(program->op_count + 1, sizeof *free_at);
  program->slot_columns = calloc(program->op_count + 1, sizeof *program->slot_columns);
  if (last_use == NULL || free_at == NULL || program->slot_columns == NULL) {
    free(last_use), free(free_at);
    return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a program");
  }
  for (uint32_t i = 0; i < program->op_count; i++) {
    last_use[program->ops[i].output] = i;
    for (uint32_t j = 0; j < program->ops[i].input_count; j++) last_use[program->ops[i].inputs[j]] = i;
  }
  for (uint32_t i = 0; i < program->op_count; i++) {
    tensor *out = &program->tensors[program->ops[i].output];
    if (out->role != BATON_TENSOR_ACTIVATION) continue;
    uint32_t slot = 0;
    while (slot < program->slot_count && free_at[slot] > i) slot++;
    if (slot == program->slot_count) program->slot_count++;
    free_at[slot] = last_use[program->ops[i].output] + 1;
    uint64_t rows = out->rows > 0 ? (uint64_t)out->rows : 1; // T and R rows are counted when a batch runs
    if (program->slot_columns[slot] < out->columns * rows) program->slot_columns[slot] = out->columns * rows;
    out->slot = (int32_t)slot;
  }
  free(last_use), free(free_at);
  return BATON_OK;
}

// --- The table.

static void program_destroy(object *object) {
  baton_program *program = (baton_program *)object;
  free(program->tensors), free(program->ops), free(program->slot_columns);
  free(program);
}

static baton_code check_desc(const baton_program_desc *desc, baton_status *status) {
  if (desc == NULL || !BATON_HAS(desc, baton_program_desc, max_context)) return WRONG("a program needs a description with its size");
  if (desc->tensors == NULL || desc->ops == NULL || desc->tensor_count == 0 || desc->op_count == 0 || desc->tensor_count > 1 << 20 || desc->op_count > 1 << 20)
    return WRONG("a program of %u tensors and %u operations", desc->tensor_count, desc->op_count);
  if (desc->max_tokens == 0 || desc->max_sequences == 0) return WRONG("a program for batches of %u tokens in %u sequences", desc->max_tokens, desc->max_sequences);
  if (desc->max_tokens > MAX_TOKENS || desc->max_sequences > MAX_SEQUENCES)
    return refuse(status, BATON_OUT_OF_RANGE, "a program for %u tokens in %u sequences; %d in %d are the most", desc->max_tokens, desc->max_sequences, MAX_TOKENS, MAX_SEQUENCES);
  return BATON_OK;
}

static baton_code read_all(const baton_program_desc *desc, baton_program *program, baton_status *status) {
  program->tensors = calloc(desc->tensor_count, sizeof *program->tensors);
  program->ops = calloc(desc->op_count, sizeof *program->ops);
  if (program->tensors == NULL || program->ops == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a program");
  for (uint32_t i = 0; i < desc->tensor_count; i++) {
    const baton_tensor *raw = AT(desc->tensors, i);
    if (!BATON_HAS(raw, baton_tensor, offset)) return WRONG("tensor %u needs a struct with its size", i);
    baton_code code = read_tensor(raw, &program->tensors[i], &program->weight_bytes, status);
    if (code != BATON_OK) return code;
  }
  baton_code code = read_ops(desc, program, status);
  return code == BATON_OK ? plan_slots(program, status) : code;
}

static baton_code program_compile(baton_device *device, const baton_program_desc *desc, baton_program **out, baton_status *status) {
  baton_code code = check_desc(desc, status);
  if (code != BATON_OK) return code;
  baton_program *program = calloc(1, sizeof *program);
  if (program == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a program");
  *program = (baton_program){.object.destroy = program_destroy, .tensor_count = desc->tensor_count, .op_count = desc->op_count,
                             .first_layer = desc->first_layer, .layer_count = desc->layer_count, .kv_heads = desc->kv_heads, .head_dim = desc->head_dim,
                             .max_tokens = desc->max_tokens, .max_sequences = desc->max_sequences, .max_context = desc->max_context,
                             .vocabulary = UINT64_MAX};
  code = read_all(desc, program, status);
  if (code != BATON_OK) {
    program_destroy(&program->object);
    return code;
  }
  if (BATON_HAS(desc, baton_program_desc, progress_user) && desc->progress != NULL) desc->progress(desc->progress_user, 1);
  device_adopts(device, &program->object);
  *out = program;
  return BATON_OK;
}

static baton_code program_info(baton_device *device, baton_program *program, baton_program_info *out, baton_status *status) {
  (void)device, (void)status;
  baton_program_info info = {.weight_bytes = 0}; // weights stay where they are; a batch's workspace is taken and given back
  for (uint32_t i = 0; i < program->slot_count; i++) info.workspace_bytes += program->slot_columns[i] * program->max_tokens * 4;
  return give(out, out->size, &info, sizeof info);
}

static void program_release(baton_device *device, baton_program *program) { device_drops(device, (object *)program); }

const baton_program_table program_table = {
    .size = sizeof program_table,
    .compile = program_compile,
    .info = program_info,
    .release = program_release,
    .submit = program_submit,
};
