// SPDX-License-Identifier: Apache-2.0
// Step 6, second part: proving and copying a batch, and running it on its queue.
#include "device.h"

#include <stdlib.h>
#include <string.h>

static void run_destroy(void *data) {
  run *run = data;
  free(run->tokens), free(run->positions), free(run->sequences), free(run->rows), free(run->tables);
  free(run->places);
  free(run);
}

static bool copy_array(uint32_t **out, const uint32_t *from, uint64_t count) {
  *out = calloc(count + 1, sizeof **out);
  if (*out == NULL) return false;
  if (from != NULL && count > 0) memcpy(*out, from, count * sizeof **out);
  return true;
}

static baton_code copy_batch(const baton_batch *batch, run *run, baton_status *status) {
  run->token_count = batch->token_count;
  run->sequence_count = batch->sequence_count;
  run->row_count = batch->row_count;
  run->stride = batch->block_table_stride;
  run->pool = batch->pool;
  run->places = calloc(run->program->tensor_count + 1, sizeof *run->places);
  uint64_t tables = batch->block_tables == NULL ? 0 : (uint64_t)batch->sequence_count * batch->block_table_stride;
  if (run->places != NULL && copy_array(&run->tokens, batch->tokens, batch->token_count) && copy_array(&run->positions, batch->positions, batch->token_count) &&
      copy_array(&run->sequences, batch->sequences, batch->token_count) && copy_array(&run->rows, batch->rows, batch->row_count) &&
      copy_array(&run->tables, batch->block_tables, tables))
    return BATON_OK;
  return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a batch of %u tokens", batch->token_count);
}

static baton_code check_counts(const baton_program *program, const baton_batch *batch, baton_status *status) {
  if (batch == NULL || !BATON_HAS(batch, baton_batch, pool)) return refuse(status, BATON_INVALID_ARGUMENT, "a batch needs a struct with its size");
  if (batch->token_count == 0 || batch->sequence_count == 0 || batch->positions == NULL || batch->sequences == NULL)
    return refuse(status, BATON_INVALID_ARGUMENT, "a batch of %u tokens in %u sequences; each is 1 or more, with positions and sequences", batch->token_count,
                  batch->sequence_count);
  if (batch->token_count > program->max_tokens || batch->sequence_count > program->max_sequences)
    return refuse(status, BATON_OUT_OF_RANGE, "%u tokens in %u sequences; the program was compiled for %u in %u", batch->token_count, batch->sequence_count,
                  program->max_tokens, program->max_sequences);
  if (batch->row_count > batch->token_count || (batch->row_count > 0 && batch->rows == NULL))
    return refuse(status, BATON_INVALID_ARGUMENT, "%u rows of %u tokens", batch->row_count, batch->token_count);
  if (program->vocabulary != UINT64_MAX && batch->tokens == NULL) return refuse(status, BATON_INVALID_ARGUMENT, "the program embeds tokens and the batch has none");
  return BATON_OK;
}

/// Tokens, rows, and sequences that are contiguous with positions that follow one another.
static baton_code check_tokens(const run *run, baton_status *status) {
  const baton_program *program = run->program;
  bool seen[MAX_SEQUENCES] = {false};
  for (uint32_t r = 0; r < run->row_count; r++)
    if (run->rows[r] >= run->token_count) return refuse(status, BATON_INVALID_ARGUMENT, "row %u of %u tokens", run->rows[r], run->token_count);
  for (uint32_t t = 0; t < run->token_count; t++) {
    uint32_t sequence = run->sequences[t], position = run->positions[t];
    if (program->vocabulary != UINT64_MAX && run->tokens[t] >= program->vocabulary)
      return refuse(status, BATON_INVALID_ARGUMENT, "token %u of a vocabulary of %llu", run->tokens[t], (unsigned long long)program->vocabulary);
    if (sequence >= run->sequence_count) return refuse(status, BATON_INVALID_ARGUMENT, "sequence %u of %u", sequence, run->sequence_count);
    if (program->max_context > 0 && position >= program->max_context)
      return refuse(status, BATON_OUT_OF_RANGE, "position %u; the program was compiled for a context of %u", position, program->max_context);
    bool follows = t > 0 && run->sequences[t - 1] == sequence;
    if (!follows && seen[sequence]) return refuse(status, BATON_INVALID_ARGUMENT, "the tokens of sequence %u are not together", sequence);
    if (follows && position != run->positions[t - 1] + 1)
      return refuse(status, BATON_INVALID_ARGUMENT, "position %u after %u in sequence %u", position, run->positions[t - 1], sequence);
    seen[sequence] = true;
  }
  return BATON_OK;
}

static baton_code check_blocks(const run *run, baton_status *status) {
  const baton_program *program = run->program;
  if (!program->attends) return BATON_OK;
  if (run->pool == NULL) return refuse(status, BATON_INVALID_ARGUMENT, "the program attends and the batch has no KV pool");
  const baton_kv_pool_desc *pool = &run->pool->desc;
  if (pool->kv_heads != program->kv_heads || pool->head_dim != program->head_dim || pool->first_layer > program->first_layer ||
      pool->first_layer + pool->layers < program->first_layer + program->layer_count)
    return refuse(status, BATON_INVALID_ARGUMENT, "a pool of layers %u to %u, %u heads of %u, which is not the program's KV", pool->first_layer,
                  pool->first_layer + pool->layers, pool->kv_heads, pool->head_dim);
  for (uint32_t t = 0; t < run->token_count; t++) {
    uint32_t reached = run->positions[t] / pool->block_tokens;
    if (reached >= run->stride) return refuse(status, BATON_INVALID_ARGUMENT, "position %u needs block %u of a table of %u", run->positions[t], reached, run->stride);
    for (uint32_t i = 0; i <= reached; i++) {
      uint32_t block = run->tables[(uint64_t)run->sequences[t] * run->stride + i];
      if (block >= pool->block_count) return refuse(status, BATON_INVALID_ARGUMENT, "block %u of a pool of %u", block, pool->block_count);
    }
  }
  return BATON_OK;
}

static baton_code bind(const baton_binding *binding, run *run, baton_status *status) {
  const baton_program *program = run->program;
  if (binding->tensor >= program->tensor_count) return refuse(status, BATON_INVALID_ARGUMENT, "tensor %u of %u is bound", binding->tensor, program->tensor_count);
  const tensor *tensor = &program->tensors[binding->tensor];
  const baton_buffer *buffer = binding->buffer;
  uint64_t needed = run_rows(run, tensor) * tensor->columns * 4;
  if (tensor->role != BATON_TENSOR_INPUT && tensor->role != BATON_TENSOR_OUTPUT)
    return refuse(status, BATON_INVALID_ARGUMENT, "'%s' is bound, and is neither input nor output", tensor->name);
  if (buffer == NULL || binding->offset % 4 != 0 || binding->offset > buffer->length || needed > buffer->length - binding->offset)
    return refuse(status, BATON_INVALID_ARGUMENT, "'%s' takes %llu bytes at %llu, more than its buffer has", tensor->name, (unsigned long long)needed,
                  (unsigned long long)binding->offset);
  if (tensor->role == BATON_TENSOR_OUTPUT && !buffer->writable)
    return refuse(status, BATON_PERMISSION_DENIED, "'%s' is bound to memory imported for reading", tensor->name);
  run->places[binding->tensor] = (float *)(void *)(buffer->base + binding->offset);
  return BATON_OK;
}

static baton_code bind_all(const baton_batch *batch, run *run, baton_status *status) {
  for (uint32_t i = 0; i < batch->binding_count; i++) {
    baton_code code = bind(AT(batch->bindings, i), run, status);
    if (code != BATON_OK) return code;
  }
  for (uint32_t i = 0; i < run->program->tensor_count; i++) {
    const tensor *tensor = &run->program->tensors[i];
    if ((tensor->role == BATON_TENSOR_INPUT || tensor->role == BATON_TENSOR_OUTPUT) && run->places[i] == NULL && run_rows(run, tensor) > 0)
      return refuse(status, BATON_INVALID_ARGUMENT, "'%s' is bound to no buffer", tensor->name);
  }
  return BATON_OK;
}

// --- Running, on the queue's thread.

/// Gives every activation its slot's memory, for as many rows as this batch has.
static float *place_activations(run *run) {
  const baton_program *program = run->program;
  uint64_t total = 0, starts[program->slot_count + 1];
  for (uint32_t i = 0; i < program->slot_count; i++) {
    starts[i] = total;
    total += (program->slot_columns[i] * run->token_count + 15) / 16 * 16;
  }
  float *memory = NULL;
  if (posix_memalign((void **)&memory, 64, (total + 16) * sizeof *memory) != 0) return NULL;
  for (uint32_t i = 0; i < program->tensor_count; i++)
    if (program->tensors[i].slot >= 0) run->places[i] = memory + starts[program->tensors[i].slot];
  return memory;
}

static baton_code run_batch(work *work, baton_status *status) {
  run *run = work->data;
  float *memory = place_activations(run);
  if (memory == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for the activations of %u tokens", run->token_count);
  baton_code code = BATON_OK;
  for (uint32_t i = 0; i < run->program->op_count && code == BATON_OK; i++) {
    if (__atomic_load_n(&work->device->cancelled, __ATOMIC_RELAXED)) code = refuse(status, BATON_CANCELLED, "the device was quiesced while this batch ran");
    else code = operate(run, &run->program->ops[i], work, status);
  }
  if (code == BATON_OK) work_layers(work, run->program->layer_count);
  free(memory);
  return code;
}

baton_code program_submit(baton_device *device, baton_program *program, const baton_batch *batch, const baton_sync *sync, baton_status *status) {
  if (__atomic_load_n(&device->refuses, __ATOMIC_RELAXED)) return refuse(status, BATON_FAILED_PRECONDITION, "the device is quiesced and takes no more work");
  baton_code code = check_counts(program, batch, status);
  if (code != BATON_OK) return code;
  run *run = calloc(1, sizeof *run);
  if (run == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a batch");
  run->program = program;
  code = copy_batch(batch, run, status);
  if (code == BATON_OK) code = check_tokens(run, status);
  if (code == BATON_OK) code = check_blocks(run, status);
  if (code == BATON_OK) code = bind_all(batch, run, status);
  if (code == BATON_OK) return queue_take(device, sync, run_batch, run_destroy, run, false, status);
  run_destroy(run);
  return code;
}
