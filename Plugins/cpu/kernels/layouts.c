// Sizes and layouts that every instruction set shares.
#include "CPUKernels.h"
#include <math.h>
#include <string.h>

size_t cpuk_segment_floats(size_t rows, size_t dim) { return (2 * rows + 15) / 16 * 16 + rows * dim; }

size_t cpuk_attention_scratch(size_t dim, size_t group) {
  size_t rows = CPUK_FAST_TOKENS * group, plain = 32 * dim + CPUK_TOKENS * group * dim;
  size_t fast = rows * dim + 128 * dim + 2 * cpuk_segment_floats(rows, dim); // attend_f32.inc's, the most
  return ((fast > plain ? fast : plain) + 15) / 16 * 16;
}

size_t cpuk_packed_bytes(int type, size_t inputs) {
  return (type == CPUK_Q4_1 ? 64 : 0) + inputs / CPUK_BLOCK * (type == CPUK_Q4_0 ? 288 : type == CPUK_Q4_1 ? 320 : type == CPUK_Q8_0 ? 544 : 0);
}

size_t cpuk_opened_bytes(size_t inputs) { return inputs / CPUK_BLOCK * (512 + 64) + 64; }

size_t cpuk_bytes(int type, size_t count) {
  switch (type) {
    case CPUK_F32: return count * 4;
    case CPUK_F16:
    case CPUK_BF16: return count * 2;
    case CPUK_Q4_0: return count / CPUK_BLOCK * 18;
    case CPUK_Q4_1: return count / CPUK_BLOCK * 20;
    case CPUK_Q8_0: return count / CPUK_BLOCK * 34;
    default: return 0;
  }
}

void cpuk_turns(double position, double scale, double base, size_t dims, float *out) {
  for (size_t i = 0; i < dims / 2; i++) {
    double angle = position * scale * pow(base, -2.0 * (double)i / (double)dims);
    out[2 * i] = (float)cos(angle);
    out[2 * i + 1] = (float)sin(angle);
  }
}

void cpuk_pack_panel(const struct cpuk_table *table, int from, const void *weights, size_t inputs, size_t first, size_t width, int to,
                     void *panel, float *row) {
  memset(panel, 0, cpuk_bytes(to, inputs * CPUK_PANEL));
  size_t stride = cpuk_bytes(from, inputs);
  for (size_t o = 0; o < width; o++) {
    table->dequantise(from, (const uint8_t *)weights + (first + o) * stride, row, inputs);
    if (to == CPUK_F32) {
      for (size_t i = 0; i < inputs; i++) ((float *)panel)[i * CPUK_PANEL + o] = row[i];
    } else {
      uint16_t chunk[64];
      for (size_t i = 0; i < inputs; i += 64) {
        size_t n = inputs - i < 64 ? inputs - i : 64;
        table->narrow(to, row + i, chunk, n);
        for (size_t j = 0; j < n; j++) {
          size_t at = to == CPUK_BF16 ? ((i + j) / 2 * CPUK_PANEL + o) * 2 + (i + j) % 2 : (i + j) * CPUK_PANEL + o;
          ((uint16_t *)panel)[at] = chunk[j];
        }
      }
    }
  }
}
