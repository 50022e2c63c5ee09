// SPDX-License-Identifier: Apache-2.0
// Step 6, third part: the operations themselves, in f32. This is the file that your device replaces first.
#include "device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- Elements.

uint32_t dtype_elements(baton_dtype dtype) {
  switch (dtype) {
    case BATON_F32: case BATON_F16: case BATON_BF16: return 1;
    case BATON_Q4_0: case BATON_Q4_1: case BATON_Q8_0: return 32;
    default: return 0;
  }
}

uint32_t dtype_bytes(baton_dtype dtype) {
  switch (dtype) {
    case BATON_F32: return 4;
    case BATON_F16: case BATON_BF16: return 2;
    case BATON_Q4_0: return 18;
    case BATON_Q4_1: return 20;
    case BATON_Q8_0: return 34;
    default: return 0;
  }
}

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float from_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7FFF;
  if (rest >= 0x7C00) return from_bits(sign | 0x7F800000 | (rest & 0x3FF) << 13);
  float value = from_bits(rest << 13) * 0x1p112f; // exact, also where the half is subnormal
  return from_bits(sign | to_bits(value));
}

static uint16_t to_half(float value) {
  uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000;
  float size = fabsf(value);
  if (size != size) return (uint16_t)(sign | 0x7E00);
  if (size >= 65520.0f) return (uint16_t)(sign | 0x7C00);
  if (size < 0x1p-14f) return (uint16_t)(sign | (uint32_t)lrintf(size * 0x1p24f));
  uint32_t rest = to_bits(size);
  return (uint16_t)(sign | (((rest + 0xFFF + (rest >> 13 & 1)) >> 13) - 0x1C000));
}

static uint16_t read16(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }

static void decode_blocks(baton_dtype dtype, const uint8_t *bytes, uint64_t count, float *out) {
  for (uint64_t i = 0; i < count; i += 32, bytes += dtype_bytes(dtype)) {
    float scale = from_half(read16(bytes)), least = dtype == BATON_Q4_1 ? from_half(read16(bytes + 2)) : dtype == BATON_Q4_0 ? -8 * scale : 0;
    const uint8_t *codes = bytes + (dtype == BATON_Q4_1 ? 4 : 2);
    for (int j = 0; j < 16; j++) {
      if (dtype == BATON_Q8_0) {
        out[i + j] = scale * (int8_t)codes[j];
        out[i + j + 16] = scale * (int8_t)codes[j + 16];
      } else {
        out[i + j] = scale * (codes[j] & 15) + least;
        out[i + j + 16] = scale * (codes[j] >> 4) + least;
      }
    }
  }
}

void decode(baton_dtype dtype, const uint8_t *bytes, uint64_t count, float *out) {
  if (dtype == BATON_F32) memcpy(out, bytes, count * 4);
  else if (dtype == BATON_F16) for (uint64_t i = 0; i < count; i++) out[i] = from_half(read16(bytes + 2 * i));
  else if (dtype == BATON_BF16) for (uint64_t i = 0; i < count; i++) out[i] = from_bits((uint32_t)read16(bytes + 2 * i) << 16);
  else decode_blocks(dtype, bytes, count, out);
}

void encode(baton_dtype dtype, const float *values, uint64_t count, uint8_t *out) {
  if (dtype == BATON_F32) {
    memcpy(out, values, count * 4);
    return;
  }
  for (uint64_t i = 0; i < count; i++) {
    uint32_t bits = to_bits(values[i]);
    uint16_t half = dtype == BATON_F16 ? to_half(values[i]) : values[i] != values[i] ? 0x7FC0 : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    memcpy(out + 2 * i, &half, 2);
  }
}

// --- What every operation needs.

uint64_t run_rows(const run *run, const tensor *tensor) {
  return tensor->rows == BATON_DIM_TOKENS ? run->token_count : tensor->rows == BATON_DIM_ROWS ? run->row_count : (uint64_t)tensor->rows;
}

static const tensor *input(const run *run, const baton_op *op, int index) { return &run->program->tensors[op->inputs[index]]; }
static const float *values(const run *run, const baton_op *op, int index) { return run->places[op->inputs[index]]; }

/// The row of weights at `row`, as f32.
static void weight_row(const tensor *weight, uint64_t row, float *out) {
  uint64_t stride = weight->columns / dtype_elements(weight->dtype) * dtype_bytes(weight->dtype);
  decode(weight->dtype, weight->bytes + row * stride, weight->columns, out);
}

/// Sixteen sums, so that the compiler may use vectors without changing the order of additions.
static float dot(const float *a, const float *b, uint64_t count) {
  float sums[16] = {0}, total = 0;
  uint64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; j++) sums[j] += a[i + j] * b[i + j];
  for (; i < count; i++) total += a[i] * b[i];
  for (int j = 0; j < 16; j++) total += sums[j];
  return total;
}

// --- The operations.

static void embed(const run *run, const baton_op *op, float *out) {
  const tensor *table = input(run, op, 0);
  for (uint32_t t = 0; t < run->token_count; t++) weight_row(table, run->tokens[t], out + t * table->columns);
}

static baton_code rms_norm(const run *run, const baton_op *op, float *out, baton_status *status) {
  const tensor *x = input(run, op, 0);
  const float *from = values(run, op, 0);
  float *gain = malloc(x->columns * sizeof *gain);
  if (gain == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a row of weights");
  weight_row(input(run, op, 1), 0, gain);
  for (uint64_t n = 0; n < run_rows(run, x); n++, from += x->columns, out += x->columns) {
    double squares = 0;
    for (uint64_t i = 0; i < x->columns; i++) squares += (double)from[i] * from[i];
    float scale = (float)(1 / sqrt(squares / (double)x->columns + op->epsilon));
    for (uint64_t i = 0; i < x->columns; i++) out[i] = from[i] * scale * gain[i];
  }
  free(gain);
  return BATON_OK;
}

typedef struct linear {
  const tensor *weight;
  const float *x, *bias;
  float *out;
  uint64_t rows, inputs, outputs;
  bool failed;
} linear;

/// Some columns of the output: each weight's row is made f32 once and used for all rows of x.
static void linear_columns(void *user, uint64_t begin, uint64_t end, uint32_t worker) {
  (void)worker;
  linear *job = user;
  float *row = malloc(job->inputs * sizeof *row);
  if (row == NULL) {
    __atomic_store_n(&job->failed, true, __ATOMIC_RELAXED);
    return;
  }
  for (uint64_t o = begin; o < end; o++) {
    weight_row(job->weight, o, row);
    for (uint64_t n = 0; n < job->rows; n++)
      job->out[n * job->outputs + o] = dot(job->x + n * job->inputs, row, job->inputs) + (job->bias != NULL ? job->bias[o] : 0);
  }
  free(row);
}

static baton_code do_linear(const run *run, const baton_op *op, float *out, baton_status *status) {
  const tensor *x = input(run, op, 0), *weight = input(run, op, 1);
  linear job = {.weight = weight, .x = values(run, op, 0), .out = out, .rows = run_rows(run, x), .inputs = x->columns, .outputs = (uint64_t)weight->rows};
  float *bias = NULL;
  if (op->input_count == 3) {
    bias = malloc(job.outputs * sizeof *bias);
    if (bias == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a bias");
    weight_row(input(run, op, 2), 0, bias);
    job.bias = bias;
  }
  parallel(job.outputs, 16, linear_columns, &job);
  free(bias);
  return job.failed ? refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a row of weights") : BATON_OK;
}

static void rope(const run *run, const baton_op *op, float *out) {
  const tensor *x = input(run, op, 0);
  memcpy(out, values(run, op, 0), run->token_count * x->columns * sizeof *out);
  for (uint32_t t = 0; t < run->token_count; t++, out += x->columns)
    for (uint32_t pair = 0; pair < op->rope_dims / 2; pair++) {
      double angle = run->positions[t] * (double)op->rope_scale * pow(op->rope_base, -2.0 * pair / op->rope_dims);
      float c = (float)cos(angle), s = (float)sin(angle);
      bool interleaved = op->rope_style == BATON_ROPE_INTERLEAVED;
      for (uint32_t head = 0; head < op->heads; head++) {
        float *a = out + head * op->head_dim + (interleaved ? 2 * pair : pair), *b = a + (interleaved ? 1 : op->rope_dims / 2);
        float first = *a, second = *b;
        *a = first * c - second * s;
        *b = first * s + second * c;
      }
    }
}

typedef struct attending {
  const run *run;
  const baton_op *op;
  const float *q;
  float *out;
  bool failed;
} attending;

/// Where the K or V of a position of a token's sequence lies.
static const uint8_t *kept(const attending *job, uint32_t token, uint32_t position, uint32_t plane, uint32_t head) {
  const run *run = job->run;
  uint32_t block_tokens = run->pool->desc.block_tokens;
  uint32_t block = run->tables[(uint64_t)run->sequences[token] * run->stride + position / block_tokens];
  return pool_row(run->pool, (uint32_t)job->op->layer, block, plane, head, position % block_tokens);
}

/// One head of one token over the positions it sees. `row` has room for head_dim, `scores` for the positions.
static void attend(const attending *job, uint32_t token, uint32_t head, float *row, float *scores) {
  const baton_op *op = job->op;
  uint32_t dim = op->head_dim, kv_head = head / (op->heads / op->kv_heads), count = job->run->positions[token] + 1;
  uint32_t first = op->window > 0 && count > op->window ? count - op->window : 0;
  baton_dtype dtype = job->run->pool->desc.dtype;
  const float *q = job->q + ((uint64_t)token * op->heads + head) * dim;
  float *out = job->out + ((uint64_t)token * op->heads + head) * dim, top = -INFINITY, sum = 0;
  for (uint32_t p = first; p < count; p++) {
    decode(dtype, kept(job, token, p, 0, kv_head), dim, row);
    float score = dot(q, row, dim) * op->scale;
    scores[p] = op->cap > 0 ? op->cap * tanhf(score / op->cap) : score;
    top = fmaxf(top, scores[p]);
  }
  memset(out, 0, dim * sizeof *out);
  for (uint32_t p = first; p < count; p++) {
    float weight = expf(scores[p] - top);
    sum += weight;
    decode(dtype, kept(job, token, p, 1, kv_head), dim, row);
    for (uint32_t i = 0; i < dim; i++) out[i] += weight * row[i];
  }
  for (uint32_t i = 0; i < dim; i++) out[i] /= sum;
}

static void attend_heads(void *user, uint64_t begin, uint64_t end, uint32_t worker) {
  (void)worker;
  attending *job = user;
  uint32_t most = 0;
  for (uint32_t t = 0; t < job->run->token_count; t++) most = job->run->positions[t] > most ? job->run->positions[t] : most;
  float *room = malloc(((uint64_t)most + 1 + job->op->head_dim) * sizeof *room);
  if (room == NULL) __atomic_store_n(&job->failed, true, __ATOMIC_RELAXED);
  for (uint64_t i = begin; room != NULL && i < end; i++)
    attend(job, (uint32_t)(i / job->op->heads), (uint32_t)(i % job->op->heads), room, room + job->op->head_dim);
  free(room);
}

static baton_code attention(const run *run, const baton_op *op, float *out, work *work, baton_status *status) {
  attending job = {.run = run, .op = op, .q = values(run, op, 0), .out = out};
  for (uint32_t t = 0; t < run->token_count; t++)
    for (uint32_t plane = 0; plane < 2; plane++)
      for (uint32_t head = 0; head < op->kv_heads; head++) {
        const float *row = values(run, op, 1 + (int)plane) + ((uint64_t)t * op->kv_heads + head) * op->head_dim;
        encode(run->pool->desc.dtype, row, op->head_dim, (uint8_t *)kept(&job, t, run->positions[t], plane, head));
      }
  work_layers(work, (uint32_t)op->layer - run->program->first_layer + 1);
  parallel((uint64_t)run->token_count * op->heads, 4, attend_heads, &job);
  return job.failed ? refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for attention's scores") : BATON_OK;
}

/// ADD and MUL: element by element, or one row for all; the second may be a weight.
static baton_code pairwise(const run *run, const baton_op *op, float *out, baton_status *status) {
  const tensor *b = input(run, op, 1);
  uint64_t columns = b->columns, rows = run_rows(run, b), count = run_rows(run, input(run, op, 0)) * columns;
  const float *x = values(run, op, 0), *y = values(run, op, 1);
  float *weight = NULL;
  if (b->role == BATON_TENSOR_WEIGHT) {
    weight = malloc(rows * columns * sizeof *weight);
    if (weight == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a row of weights");
    for (uint64_t row = 0; row < rows; row++) weight_row(b, row, weight + row * columns);
    y = weight;
  }
  for (uint64_t i = 0; i < count; i++) {
    float other = y[b->rank == 1 ? i % columns : i];
    out[i] = op->kind == BATON_OP_ADD ? x[i] + other : x[i] * other;
  }
  free(weight);
  return BATON_OK;
}

/// SWIGLU, SCALE, SOFTCAP.
static void pointwise(const run *run, const baton_op *op, float *out) {
  uint64_t count = run_rows(run, input(run, op, 0)) * input(run, op, 0)->columns;
  const float *x = values(run, op, 0), *up = op->kind == BATON_OP_SWIGLU ? values(run, op, 1) : NULL;
  for (uint64_t i = 0; i < count; i++)
    out[i] = up != NULL ? x[i] / (1 + expf(-x[i])) * up[i] : op->kind == BATON_OP_SCALE ? x[i] * op->scale : op->cap * tanhf(x[i] / op->cap);
}

baton_code operate(const run *run, const baton_op *op, work *work, baton_status *status) {
  float *out = run->places[op->output];
  switch (op->kind) {
    case BATON_OP_EMBED: embed(run, op, out); return BATON_OK;
    case BATON_OP_RMS_NORM: return rms_norm(run, op, out, status);
    case BATON_OP_LINEAR: return do_linear(run, op, out, status);
    case BATON_OP_ROPE: rope(run, op, out); return BATON_OK;
    case BATON_OP_ATTENTION: return attention(run, op, out, work, status);
    case BATON_OP_ADD: case BATON_OP_MUL: return pairwise(run, op, out, status);
    case BATON_OP_SWIGLU: case BATON_OP_SCALE: case BATON_OP_SOFTCAP: pointwise(run, op, out); return BATON_OK;
    case BATON_OP_SELECT_ROWS: {
      uint64_t columns = input(run, op, 0)->columns;
      for (uint32_t r = 0; r < run->row_count; r++) memcpy(out + r * columns, values(run, op, 0) + run->rows[r] * columns, columns * sizeof *out);
      return BATON_OK;
    }
    default: return refuse(status, BATON_INTERNAL, "operation %u passed compile", op->kind);
  }
}
