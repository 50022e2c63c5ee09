// SPDX-License-Identifier: Apache-2.0
// Step 6, second part: the operations themselves, in f32. This is the file that your device replaces first.
#include "device.hpp"

#include <algorithm>
#include <cmath>

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

namespace {

template <typename To, typename From> To bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &value, sizeof to);
  return to;
}

uint16_t read16(const uint8_t *bytes) { return uint16_t(bytes[0] | bytes[1] << 8); }

float from_half(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, rest = half & 0x7FFF;
  if (rest >= 0x7C00) return bits<float>(sign | 0x7F800000 | (rest & 0x3FF) << 13);
  return bits<float>(sign | bits<uint32_t>(bits<float>(rest << 13) * 0x1p112f)); // exact, also where the half is subnormal
}

uint16_t to_half(float value) {
  uint32_t sign = bits<uint32_t>(value) >> 16 & 0x8000;
  float size = std::fabs(value);
  if (size != size) return uint16_t(sign | 0x7E00);
  if (size >= 65520.0f) return uint16_t(sign | 0x7C00);
  if (size < 0x1p-14f) return uint16_t(sign | uint32_t(std::lrint(size * 0x1p24f)));
  uint32_t rest = bits<uint32_t>(size);
  return uint16_t(sign | (((rest + 0xFFF + (rest >> 13 & 1)) >> 13) - 0x1C000));
}

uint16_t to_bfloat(float value) {
  uint32_t all = bits<uint32_t>(value);
  return value != value ? 0x7FC0 : uint16_t((all + 0x7FFF + (all >> 16 & 1)) >> 16);
}

void decode_blocks(baton_dtype dtype, const uint8_t *bytes, uint64_t count, float *out) {
  for (uint64_t i = 0; i < count; i += 32, bytes += dtype_bytes(dtype)) {
    float scale = from_half(read16(bytes)), least = dtype == BATON_Q4_1 ? from_half(read16(bytes + 2)) : dtype == BATON_Q4_0 ? -8 * scale : 0;
    const uint8_t *codes = bytes + (dtype == BATON_Q4_1 ? 4 : 2);
    for (int j = 0; j < 16; j++) {
      out[i + j] = dtype == BATON_Q8_0 ? scale * int8_t(codes[j]) : scale * (codes[j] & 15) + least;
      out[i + j + 16] = dtype == BATON_Q8_0 ? scale * int8_t(codes[j + 16]) : scale * (codes[j] >> 4) + least;
    }
  }
}

} // namespace

void decode(baton_dtype dtype, const uint8_t *bytes, uint64_t count, float *out) {
  if (dtype == BATON_F32) std::memcpy(out, bytes, count * 4);
  else if (dtype == BATON_F16) for (uint64_t i = 0; i < count; i++) out[i] = from_half(read16(bytes + 2 * i));
  else if (dtype == BATON_BF16) for (uint64_t i = 0; i < count; i++) out[i] = bits<float>(uint32_t(read16(bytes + 2 * i)) << 16);
  else decode_blocks(dtype, bytes, count, out);
}

void encode(baton_dtype dtype, const float *values, uint64_t count, uint8_t *out) {
  if (dtype == BATON_F32) return void(std::memcpy(out, values, count * 4));
  for (uint64_t i = 0; i < count; i++) {
    uint16_t half = dtype == BATON_F16 ? to_half(values[i]) : to_bfloat(values[i]);
    std::memcpy(out + 2 * i, &half, 2);
  }
}

namespace {

// --- What every operation needs.

const Tensor &input(const Run &run, const baton_op &op, int index) { return run.program->tensors[op.inputs[index]]; }
const float *values(const Run &run, const baton_op &op, int index) { return run.places[op.inputs[index]]; }

void weight_row(const Tensor &weight, uint64_t row, float *out) {
  uint64_t stride = weight.columns / dtype_elements(weight.dtype) * dtype_bytes(weight.dtype);
  decode(weight.dtype, weight.bytes + row * stride, weight.columns, out);
}

std::vector<float> vector_of(const Tensor &weight) {
  std::vector<float> row(weight.columns);
  weight_row(weight, 0, row.data());
  return row;
}

/// Sixteen sums, so that the compiler may use vectors without changing the order of additions.
float dot(const float *a, const float *b, uint64_t count) {
  float sums[16] = {}, total = 0;
  uint64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; j++) sums[j] += a[i + j] * b[i + j];
  for (; i < count; i++) total += a[i] * b[i];
  for (float sum : sums) total += sum;
  return total;
}

// --- The operations.

void embed(const Run &run, const baton_op &op, float *out) {
  const Tensor &table = input(run, op, 0);
  for (uint64_t t = 0; t < run.tokens.size(); t++) weight_row(table, run.tokens[t], out + t * table.columns);
}

void rms_norm(const Run &run, const baton_op &op, float *out) {
  const Tensor &x = input(run, op, 0);
  std::vector<float> gain = vector_of(input(run, op, 1));
  const float *from = values(run, op, 0);
  for (uint64_t n = 0; n < run.row_count(x); n++, from += x.columns, out += x.columns) {
    double squares = 0;
    for (uint64_t i = 0; i < x.columns; i++) squares += double(from[i]) * from[i];
    float scale = float(1 / std::sqrt(squares / double(x.columns) + op.epsilon));
    for (uint64_t i = 0; i < x.columns; i++) out[i] = from[i] * scale * gain[i];
  }
}

/// Each weight's row is made f32 once and used for all rows of x.
void linear(const Run &run, const baton_op &op, float *out) {
  const Tensor &x = input(run, op, 0), &weight = input(run, op, 1);
  const float *from = values(run, op, 0);
  uint64_t rows = run.row_count(x), outputs = uint64_t(weight.rows);
  std::vector<float> bias = op.input_count == 3 ? vector_of(input(run, op, 2)) : std::vector<float>(outputs);
  parallel(outputs, 16, [&](uint64_t begin, uint64_t end) {
    std::vector<float> row(x.columns);
    for (uint64_t o = begin; o < end; o++) {
      weight_row(weight, o, row.data());
      for (uint64_t n = 0; n < rows; n++) out[n * outputs + o] = dot(from + n * x.columns, row.data(), x.columns) + bias[o];
    }
  });
}

void rope(const Run &run, const baton_op &op, float *out) {
  const Tensor &x = input(run, op, 0);
  std::memcpy(out, values(run, op, 0), run.positions.size() * x.columns * sizeof *out);
  bool interleaved = op.rope_style == BATON_ROPE_INTERLEAVED;
  for (uint32_t position : run.positions) {
    for (uint32_t pair = 0; pair < op.rope_dims / 2; pair++) {
      double angle = position * double(op.rope_scale) * std::pow(double(op.rope_base), -2.0 * pair / op.rope_dims);
      float c = float(std::cos(angle)), s = float(std::sin(angle));
      for (uint32_t head = 0; head < op.heads; head++) {
        float *a = out + head * op.head_dim + (interleaved ? 2 * pair : pair), *b = a + (interleaved ? 1 : op.rope_dims / 2);
        float first = *a, second = *b;
        *a = first * c - second * s;
        *b = first * s + second * c;
      }
    }
    out += x.columns;
  }
}

/// Where the K or V of a position of a token's sequence lies.
uint8_t *kept(const Run &run, const baton_op &op, uint64_t token, uint32_t position, uint32_t plane, uint32_t head) {
  uint32_t per_block = run.pool->desc.block_tokens;
  uint32_t block = run.tables[uint64_t(run.sequences[token]) * run.stride + position / per_block];
  return run.pool->row(uint32_t(op.layer), block, plane, head, position % per_block);
}

/// One head of one token over the positions it sees.
void attend(const Run &run, const baton_op &op, uint64_t token, uint32_t head, float *to, std::vector<float> &row, std::vector<float> &scores) {
  uint32_t dim = op.head_dim, kv_head = head / (op.heads / op.kv_heads), count = run.positions[token] + 1;
  uint32_t first = op.window > 0 && count > op.window ? count - op.window : 0;
  const float *q = values(run, op, 0) + (token * op.heads + head) * dim;
  row.resize(dim);
  scores.resize(count);
  float top = -INFINITY, sum = 0;
  for (uint32_t p = first; p < count; p++) {
    decode(run.pool->desc.dtype, kept(run, op, token, p, 0, kv_head), dim, row.data());
    float score = dot(q, row.data(), dim) * op.scale;
    scores[p] = op.cap > 0 ? op.cap * std::tanh(score / op.cap) : score;
    top = std::max(top, scores[p]);
  }
  std::fill(to, to + dim, 0.0f);
  for (uint32_t p = first; p < count; p++) {
    float weight = std::exp(scores[p] - top);
    sum += weight;
    decode(run.pool->desc.dtype, kept(run, op, token, p, 1, kv_head), dim, row.data());
    for (uint32_t i = 0; i < dim; i++) to[i] += weight * row[i];
  }
  for (uint32_t i = 0; i < dim; i++) to[i] /= sum;
}

void attention(const Run &run, const baton_op &op, float *out, Work &work) {
  for (uint64_t t = 0; t < run.positions.size(); t++)
    for (uint32_t plane = 0; plane < 2; plane++)
      for (uint32_t head = 0; head < op.kv_heads; head++)
        encode(run.pool->desc.dtype, values(run, op, 1 + int(plane)) + (t * op.kv_heads + head) * op.head_dim, op.head_dim,
               kept(run, op, t, run.positions[t], plane, head));
  work.complete(uint32_t(op.layer) - run.program->desc.first_layer + 1);
  parallel(run.positions.size() * op.heads, 4, [&](uint64_t begin, uint64_t end) {
    std::vector<float> row, scores;
    for (uint64_t i = begin; i < end; i++) attend(run, op, i / op.heads, uint32_t(i % op.heads), out + i * op.head_dim, row, scores);
  });
}

/// ADD and MUL: element by element, or one row for all; the second may be a weight.
void pairwise(const Run &run, const baton_op &op, float *out) {
  const Tensor &b = input(run, op, 1);
  uint64_t columns = b.columns, rows = run.row_count(b), count = run.row_count(input(run, op, 0)) * columns;
  const float *x = values(run, op, 0), *y = values(run, op, 1);
  std::vector<float> weight;
  if (b.role == BATON_TENSOR_WEIGHT) {
    weight.resize(rows * columns);
    for (uint64_t row = 0; row < rows; row++) weight_row(b, row, weight.data() + row * columns);
    y = weight.data();
  }
  for (uint64_t i = 0; i < count; i++) {
    float other = y[b.rank == 1 ? i % columns : i];
    out[i] = op.kind == BATON_OP_ADD ? x[i] + other : x[i] * other;
  }
}

/// Each element by itself.
template <typename Function> void pointwise(const Run &run, const baton_op &op, Function function) {
  uint64_t count = run.row_count(input(run, op, 0)) * input(run, op, 0).columns;
  for (uint64_t i = 0; i < count; i++) run.places[op.output][i] = function(values(run, op, 0)[i], i);
}

void select_rows(const Run &run, const baton_op &op, float *out) {
  uint64_t columns = input(run, op, 0).columns;
  for (uint64_t r = 0; r < run.rows.size(); r++) std::memcpy(out + r * columns, values(run, op, 0) + run.rows[r] * columns, columns * sizeof *out);
}

} // namespace

void operate(const Run &run, const baton_op &op, Work &work) {
  float *out = run.places[op.output];
  switch (op.kind) {
    case BATON_OP_EMBED: return embed(run, op, out);
    case BATON_OP_RMS_NORM: return rms_norm(run, op, out);
    case BATON_OP_LINEAR: return linear(run, op, out);
    case BATON_OP_ROPE: return rope(run, op, out);
    case BATON_OP_ATTENTION: return attention(run, op, out, work);
    case BATON_OP_SWIGLU: return pointwise(run, op, [up = values(run, op, 1)](float x, uint64_t i) { return x / (1 + std::exp(-x)) * up[i]; });
    case BATON_OP_ADD: case BATON_OP_MUL: return pairwise(run, op, out);
    case BATON_OP_SCALE: return pointwise(run, op, [&op](float x, uint64_t) { return x * op.scale; });
    case BATON_OP_SOFTCAP: return pointwise(run, op, [&op](float x, uint64_t) { return op.cap * std::tanh(x / op.cap); });
    case BATON_OP_SELECT_ROWS: return select_rows(run, op, out);
    default: throw Failure(BATON_INTERNAL, text("operation ", op.kind, " passed compile"));
  }
}
