// SPDX-License-Identifier: Apache-2.0
// Step 6, first part: proving a graph and a batch, and running the one over the other.
#include "device.hpp"

#include <algorithm>
#include <cmath>

namespace {

template <typename... Parts> void need(bool holds, const Parts &...parts) {
  if (!holds) throw Failure(BATON_INVALID_ARGUMENT, text(parts...));
}

// --- Tensors.

void read_weight(const baton_tensor &raw, Tensor &tensor) {
  uint32_t elements = dtype_elements(raw.dtype);
  if (elements == 0) throw Failure(BATON_UNIMPLEMENTED, text("weight '", tensor.name, "' is in dtype ", raw.dtype, ", which this device does not take"));
  need(tensor.rows >= 1 && tensor.columns % elements == 0, "weight '", tensor.name, "' has ", tensor.rows, " rows of ", tensor.columns, "; rows are whole blocks of ", elements);
  need(raw.buffer != nullptr, "weight '", tensor.name, "' lies in no buffer");
  uint64_t bytes = uint64_t(tensor.rows) * (tensor.columns / elements) * dtype_bytes(raw.dtype);
  need(raw.offset <= raw.buffer->length && bytes <= raw.buffer->length - raw.offset, "weight '", tensor.name, "' takes ", bytes, " bytes at ", raw.offset, " of a buffer of ",
       raw.buffer->length);
  tensor.bytes = raw.buffer->base + raw.offset;
}

Tensor read_tensor(const baton_tensor &raw) {
  need(BATON_HAS(&raw, baton_tensor, offset), "a tensor needs a struct with its size");
  std::string name(raw.name.data == nullptr ? "" : raw.name.data, std::min<uint64_t>(raw.name.length, 60));
  need(raw.role >= BATON_TENSOR_WEIGHT && raw.role <= BATON_TENSOR_OUTPUT, "'", name, "' has role ", raw.role);
  need(raw.rank == 1 || raw.rank == 2, "'", name, "' has rank ", raw.rank, "; 1 or 2 is due");
  int64_t rows = raw.rank == 1 ? 1 : raw.dims[0], columns = raw.dims[raw.rank - 1];
  bool is_dim = (rows > 0 && rows < 1 << 30) || rows == BATON_DIM_TOKENS || rows == BATON_DIM_ROWS;
  need(is_dim && columns >= 1 && columns < 1 << 24, "'", name, "' has ", rows, " rows of ", columns, "; each is 1 or more");
  Tensor tensor{raw.role, raw.dtype, raw.rank, rows, uint64_t(columns), nullptr, -1, name};
  if (raw.role == BATON_TENSOR_WEIGHT) read_weight(raw, tensor);
  else need(raw.dtype == BATON_F32, "'", name, "' is no weight and not in f32");
  return tensor;
}

// --- Operations.

bool has_shape(const Tensor &tensor, int64_t rows, uint64_t columns) { return tensor.rank == 2 && tensor.rows == rows && tensor.columns == columns; }
bool same_shape(const Tensor &a, const Tensor &b) { return a.rank == b.rank && a.rows == b.rows && a.columns == b.columns; }
bool is_weight(const Tensor &tensor, uint32_t rank, uint64_t columns) { return tensor.role == BATON_TENSOR_WEIGHT && tensor.rank == rank && tensor.columns == columns; }

bool rope_fits(const baton_op &op, const Tensor &x, const Tensor &out) {
  return op.heads > 0 && has_shape(x, BATON_DIM_TOKENS, uint64_t(op.heads) * op.head_dim) && same_shape(x, out) && op.rope_dims > 0 && op.rope_dims % 2 == 0 &&
         op.rope_dims <= op.head_dim && (op.rope_style == 1 || op.rope_style == 2) && op.rope_base > 0 && std::isfinite(op.rope_base) && std::isfinite(op.rope_scale);
}

bool attention_fits(const baton_op &op, const baton_program &program, const std::vector<const Tensor *> &in, const Tensor &out) {
  uint64_t width = uint64_t(op.kv_heads) * op.head_dim;
  return op.kv_heads > 0 && op.heads > 0 && op.heads % op.kv_heads == 0 && op.head_dim > 0 && op.layer >= 0 && op.kv_heads == program.desc.kv_heads &&
         op.head_dim == program.desc.head_dim && has_shape(*in[0], BATON_DIM_TOKENS, uint64_t(op.heads) * op.head_dim) && has_shape(*in[1], BATON_DIM_TOKENS, width) &&
         has_shape(*in[2], BATON_DIM_TOKENS, width) && same_shape(*in[0], out) && std::isfinite(op.scale) && std::isfinite(op.cap) && op.cap >= 0;
}

bool fits(const baton_op &op, const baton_program &program, const std::vector<const Tensor *> &in, const Tensor &out) {
  const Tensor &x = *in[0];
  if (op.kind == BATON_OP_EMBED) return is_weight(x, 2, x.columns) && has_shape(out, BATON_DIM_TOKENS, x.columns);
  if (x.role == BATON_TENSOR_WEIGHT) return false;
  switch (op.kind) {
    case BATON_OP_RMS_NORM: return is_weight(*in[1], 1, x.columns) && same_shape(x, out) && std::isfinite(op.epsilon) && op.epsilon >= 0;
    case BATON_OP_LINEAR:
      return is_weight(*in[1], 2, x.columns) && has_shape(out, x.rows, uint64_t(in[1]->rows)) && (in.size() < 3 || is_weight(*in[2], 1, uint64_t(in[1]->rows)));
    case BATON_OP_ROPE: return rope_fits(op, x, out);
    case BATON_OP_ATTENTION: return attention_fits(op, program, in, out);
    case BATON_OP_SWIGLU: return same_shape(x, *in[1]) && same_shape(x, out) && in[1]->role != BATON_TENSOR_WEIGHT;
    case BATON_OP_ADD: case BATON_OP_MUL: return same_shape(x, out) && (same_shape(x, *in[1]) || (in[1]->rank == 1 && in[1]->columns == x.columns));
    case BATON_OP_SCALE: return same_shape(x, out) && std::isfinite(op.scale);
    case BATON_OP_SOFTCAP: return same_shape(x, out) && std::isfinite(op.cap) && op.cap > 0;
    default: return x.rows == BATON_DIM_TOKENS && has_shape(out, BATON_DIM_ROWS, x.columns);
  }
}

/// Indices, order, shapes, and that each activation is made once.
void check_op(const baton_op &op, baton_program &program, std::vector<bool> &made) {
  static const uint8_t fewest[] = {0, 1, 2, 2, 1, 3, 2, 2, 2, 1, 1, 1}, most[] = {0, 1, 2, 3, 1, 3, 2, 2, 2, 1, 1, 1};
  if (op.kind == 0 || op.kind > BATON_OP_SELECT_ROWS) throw Failure(BATON_UNIMPLEMENTED, text("operation ", op.kind, " is not one this driver knows"));
  need(op.input_count >= fewest[op.kind] && op.input_count <= most[op.kind], "operation ", op.kind, " has ", op.input_count, " inputs");
  std::vector<const Tensor *> in;
  for (uint32_t i = 0; i < op.input_count; i++) {
    need(op.inputs[i] < program.tensors.size(), "input ", op.inputs[i], " of ", program.tensors.size(), " tensors");
    need(made[op.inputs[i]], "'", program.tensors[op.inputs[i]].name, "' is used before it is made");
    in.push_back(&program.tensors[op.inputs[i]]);
  }
  need(op.output < program.tensors.size() && !made[op.output], "output ", op.output, " of ", program.tensors.size(), " tensors is none, or made already");
  const baton_program_desc &desc = program.desc;
  need(op.layer == -1 || (op.layer >= 0 && uint32_t(op.layer) >= desc.first_layer && uint32_t(op.layer) - desc.first_layer < desc.layer_count), "layer ", op.layer, " of ",
       desc.layer_count, " from ", desc.first_layer);
  need(fits(op, program, in, program.tensors[op.output]), "operation ", op.kind, " from '", in[0]->name, "' to '", program.tensors[op.output].name, "' does not fit");
  made[op.output] = true;
  if (op.kind == BATON_OP_EMBED) program.vocabulary = std::min(program.vocabulary, uint64_t(in[0]->rows));
}

void read_ops(const baton_program_desc *desc, baton_program &program) {
  std::vector<bool> made;
  for (const Tensor &tensor : program.tensors) made.push_back(tensor.role == BATON_TENSOR_WEIGHT || tensor.role == BATON_TENSOR_INPUT);
  int32_t last = -1;
  for (uint32_t i = 0; i < desc->op_count; i++) {
    const baton_op &op = at(desc->ops, i);
    need(BATON_HAS(&op, baton_op, window), "operation ", i, " needs a struct with its size");
    check_op(op, program, made);
    if (op.kind == BATON_OP_ATTENTION) {
      need(op.layer > last, "layer ", op.layer, " attends after layer ", last, "; each attends once, in order");
      last = op.layer;
      program.attends = true;
    }
    program.ops.push_back(op);
  }
  for (size_t i = 0; i < made.size(); i++) need(made[i] || program.tensors[i].role != BATON_TENSOR_OUTPUT, "output '", program.tensors[i].name, "' is made by no operation");
}

/// Activations that are not needed at the same time share memory.
void plan_slots(baton_program &program) {
  std::vector<size_t> last_use(program.tensors.size()), free_at;
  for (size_t i = 0; i < program.ops.size(); i++) {
    last_use[program.ops[i].output] = i;
    for (uint32_t j = 0; j < program.ops[i].input_count; j++) last_use[program.ops[i].inputs[j]] = i;
  }
  for (size_t i = 0; i < program.ops.size(); i++) {
    Tensor &out = program.tensors[program.ops[i].output];
    if (out.role != BATON_TENSOR_ACTIVATION) continue;
    size_t slot = size_t(std::find_if(free_at.begin(), free_at.end(), [i](size_t at) { return at <= i; }) - free_at.begin());
    if (slot == free_at.size()) free_at.push_back(0), program.slots.push_back(0);
    free_at[slot] = last_use[program.ops[i].output] + 1;
    program.slots[slot] = std::max(program.slots[slot], out.columns * uint64_t(std::max<int64_t>(out.rows, 1)));
    out.slot = int(slot);
  }
}

// --- Batches.

template <typename T> std::vector<uint32_t> copied(const T *from, uint64_t count) { return from == nullptr ? std::vector<uint32_t>() : std::vector<uint32_t>(from, from + count); }

void check_counts(const baton_program &program, const baton_batch *batch) {
  need(batch != nullptr && BATON_HAS(batch, baton_batch, pool), "a batch needs a struct with its size");
  need(batch->token_count > 0 && batch->sequence_count > 0 && batch->positions != nullptr && batch->sequences != nullptr, "a batch of ", batch->token_count, " tokens in ",
       batch->sequence_count, " sequences; each is 1 or more, with positions and sequences");
  if (batch->token_count > program.desc.max_tokens || batch->sequence_count > program.desc.max_sequences)
    throw Failure(BATON_OUT_OF_RANGE, text(batch->token_count, " tokens in ", batch->sequence_count, " sequences; the program was compiled for ", program.desc.max_tokens,
                                           " in ", program.desc.max_sequences));
  need(batch->row_count <= batch->token_count && (batch->row_count == 0 || batch->rows != nullptr), batch->row_count, " rows of ", batch->token_count, " tokens");
  need(program.vocabulary == UINT64_MAX || batch->tokens != nullptr, "the program embeds tokens and the batch has none");
}

/// Tokens, rows, and sequences that are contiguous with positions that follow one another.
void check_tokens(const Run &run) {
  const baton_program &program = *run.program;
  std::vector<bool> seen(run.sequence_count);
  for (uint32_t row : run.rows) need(row < run.positions.size(), "row ", row, " of ", run.positions.size(), " tokens");
  for (size_t t = 0; t < run.positions.size(); t++) {
    uint32_t sequence = run.sequences[t], position = run.positions[t];
    need(program.vocabulary == UINT64_MAX || run.tokens[t] < program.vocabulary, "a token of a vocabulary of ", program.vocabulary, " is outside it");
    need(sequence < run.sequence_count, "sequence ", sequence, " of ", run.sequence_count);
    if (program.desc.max_context > 0 && position >= program.desc.max_context)
      throw Failure(BATON_OUT_OF_RANGE, text("position ", position, "; the program was compiled for a context of ", program.desc.max_context));
    bool follows = t > 0 && run.sequences[t - 1] == sequence;
    need(follows || !seen[sequence], "the tokens of sequence ", sequence, " are not together");
    need(!follows || position == run.positions[t - 1] + 1, "position ", position, " does not follow in sequence ", sequence);
    seen[sequence] = true;
  }
}

void check_blocks(const Run &run) {
  if (!run.program->attends) return;
  need(run.pool != nullptr, "the program attends and the batch has no KV pool");
  const baton_kv_pool_desc &pool = run.pool->desc;
  const baton_program_desc &desc = run.program->desc;
  need(pool.kv_heads == desc.kv_heads && pool.head_dim == desc.head_dim && pool.first_layer <= desc.first_layer &&
           pool.first_layer + pool.layers >= desc.first_layer + desc.layer_count,
       "a pool of ", pool.layers, " layers from ", pool.first_layer, ", ", pool.kv_heads, " heads of ", pool.head_dim, " is not the program's KV");
  for (size_t t = 0; t < run.positions.size(); t++) {
    uint32_t reached = run.positions[t] / pool.block_tokens;
    need(reached < run.stride && !run.tables.empty(), "position ", run.positions[t], " needs block ", reached, " of a table of ", run.stride);
    for (uint32_t i = 0; i <= reached; i++) {
      uint32_t block = run.tables[uint64_t(run.sequences[t]) * run.stride + i];
      need(block < pool.block_count, "block ", block, " of a pool of ", pool.block_count);
    }
  }
}

void bind(Run &run, const baton_binding &binding) {
  need(binding.tensor < run.program->tensors.size(), "tensor ", binding.tensor, " of ", run.program->tensors.size(), " is bound");
  const Tensor &tensor = run.program->tensors[binding.tensor];
  const baton_buffer *buffer = binding.buffer;
  uint64_t bytes = run.row_count(tensor) * tensor.columns * 4;
  need(tensor.role == BATON_TENSOR_INPUT || tensor.role == BATON_TENSOR_OUTPUT, "'", tensor.name, "' is bound, and is neither input nor output");
  need(buffer != nullptr && binding.offset % 4 == 0 && binding.offset <= buffer->length && bytes <= buffer->length - binding.offset, "'", tensor.name, "' takes ", bytes,
       " bytes at ", binding.offset, ", more than its buffer has");
  if (tensor.role == BATON_TENSOR_OUTPUT && !buffer->writable) throw Failure(BATON_PERMISSION_DENIED, text("'", tensor.name, "' is bound to memory imported for reading"));
  run.places[binding.tensor] = reinterpret_cast<float *>(buffer->base + binding.offset);
}

std::shared_ptr<Run> read_batch(const baton_program &program, const baton_batch *batch) {
  check_counts(program, batch);
  auto run = std::make_shared<Run>();
  *run = {&program, batch->pool, copied(batch->tokens, batch->token_count), copied(batch->positions, batch->token_count), copied(batch->sequences, batch->token_count),
          copied(batch->rows, batch->row_count), copied(batch->block_tables, uint64_t(batch->sequence_count) * batch->block_table_stride), batch->sequence_count,
          batch->block_table_stride, std::vector<float *>(program.tensors.size())};
  check_tokens(*run);
  check_blocks(*run);
  for (uint32_t i = 0; i < batch->binding_count; i++) bind(*run, at(batch->bindings, i));
  for (size_t i = 0; i < program.tensors.size(); i++) {
    const Tensor &tensor = program.tensors[i];
    bool bound = tensor.role == BATON_TENSOR_INPUT || tensor.role == BATON_TENSOR_OUTPUT;
    need(!bound || run->places[i] != nullptr || run->row_count(tensor) == 0, "'", tensor.name, "' is bound to no buffer");
  }
  return run;
}

/// On the queue's thread.
void run_batch(const baton_device &device, Run &run, Work &work) {
  std::vector<std::vector<float>> memory;
  for (uint64_t columns : run.program->slots) memory.emplace_back(columns * run.positions.size());
  for (size_t i = 0; i < run.program->tensors.size(); i++)
    if (run.program->tensors[i].slot >= 0) run.places[i] = memory[size_t(run.program->tensors[i].slot)].data();
  for (const baton_op &op : run.program->ops) {
    if (__atomic_load_n(&device.cancelled, __ATOMIC_RELAXED)) throw Failure(BATON_CANCELLED, "the device was quiesced while this batch ran");
    operate(run, op, work);
  }
  work.complete(run.program->desc.layer_count);
}

// --- The table.

baton_code compile(baton_device *device, const baton_program_desc *desc, baton_program **out, baton_status *status) {
  return guarded(status, [&] {
    need(desc != nullptr && BATON_HAS(desc, baton_program_desc, max_context), "a program needs a description with its size");
    need(desc->tensors != nullptr && desc->ops != nullptr && desc->tensor_count > 0 && desc->op_count > 0, "a program of ", desc->tensor_count, " tensors and ", desc->op_count,
         " operations");
    need(desc->max_tokens > 0 && desc->max_sequences > 0, "a program for batches of ", desc->max_tokens, " tokens in ", desc->max_sequences, " sequences");
    if (desc->max_tokens > max_tokens || desc->max_sequences > max_sequences)
      throw Failure(BATON_OUT_OF_RANGE, text("a program for ", desc->max_tokens, " tokens in ", desc->max_sequences, " sequences; ", max_tokens, " in ", max_sequences, " are the most"));
    auto program = std::make_shared<baton_program>();
    std::memcpy(&program->desc, desc, std::min<size_t>(desc->size, sizeof program->desc));
    for (uint32_t i = 0; i < desc->tensor_count; i++) program->tensors.push_back(read_tensor(at(desc->tensors, i)));
    read_ops(desc, *program);
    plan_slots(*program);
    if (BATON_HAS(desc, baton_program_desc, progress_user) && desc->progress != nullptr) desc->progress(desc->progress_user, 1);
    *out = device->keep(program);
  });
}

baton_code info(baton_device *, baton_program *program, baton_program_info *out, baton_status *status) {
  return guarded(status, [&] {
    baton_program_info info{}; // weights stay where they are; a batch's workspace is taken and given back
    for (uint64_t columns : program->slots) info.workspace_bytes += columns * program->desc.max_tokens * 4;
    give(out, info);
  });
}

void release(baton_device *device, baton_program *program) { device->drop(program); }

baton_code submit(baton_device *device, baton_program *program, const baton_batch *batch, const baton_sync *sync, baton_status *status) {
  return guarded(status, [&] {
    if (__atomic_load_n(&device->refuses, __ATOMIC_RELAXED)) throw Failure(BATON_FAILED_PRECONDITION, "the device is quiesced and takes no more work");
    std::shared_ptr<Run> run = read_batch(*program, batch);
    device->take(sync, [device, run](Work &work) { run_batch(*device, *run, work); }, false);
  });
}

} // namespace

const baton_program_table program_table = {sizeof program_table, 0, compile, info, release, submit};
