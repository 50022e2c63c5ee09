// The instructions of AVX-512, VNNI and BF16 that the kernels use, written out in plain C as Intel's manual defines them (Software
// Developer's Manual, volume 2; VDPBF16PS and VCVTNE2PS2BF16: Architecture Instruction Set Extensions reference, chapter 5). Included
// before a kernel's source, this makes what was written for AVX-512 run, slowly, on a processor with AVX2.
#pragma once
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float by_f32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t by_i32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t by_u32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int64_t by_i64 __attribute__((vector_size(64), may_alias));
typedef int16_t by_i16 __attribute__((vector_size(64), may_alias));
typedef uint16_t by_u16 __attribute__((vector_size(64), may_alias));
typedef int8_t by_i8 __attribute__((vector_size(64), may_alias));
typedef uint8_t by_u8 __attribute__((vector_size(64), may_alias));
#define WRITTEN static inline __attribute__((always_inline, unused))

#undef _mm512_roundscale_ps
#undef _mm512_cvtps_ph
#undef _mm512_shuffle_i32x4
#define _mm512_add_ps(a, b) ((__m512)((a) + (b)))
#define _mm512_sub_ps(a, b) ((__m512)((a) - (b)))
#define _mm512_mul_ps(a, b) ((__m512)((a) * (b)))
#define _mm512_fmadd_ps(a, b, c) ((__m512)__builtin_elementwise_fma((by_f32)(a), (by_f32)(b), (by_f32)(c)))
#define _mm512_setzero_ps() ((__m512){0})
#define _mm512_setzero_si512() ((__m512i){0})
#define _mm512_set1_ps(x) each_f32(x)
#define _mm512_set1_epi32(x) each_i32(x)
#define _mm512_set1_epi8(x) each_i8(x)
#define _mm512_loadu_ps(p) ((__m512) * (const by_f32 *)(p))
#define _mm512_loadu_si512(p) ((__m512i) * (const by_i32 *)(p))
#define _mm512_storeu_ps(p, v) (*(by_f32 *)(p) = (by_f32)(v))
#define _mm512_storeu_si512(p, v) (*(by_i32 *)(p) = (by_i32)(v))
#define _mm512_and_si512(a, b) ((__m512i)((by_i64)(a) & (by_i64)(b)))
#define _mm512_srli_epi16(a, n) ((__m512i)((by_u16)(a) >> (n)))
#define _mm512_cvtepi32_ps(v) ((__m512)__builtin_convertvector((by_i32)(v), by_f32))
#define _mm512_roundscale_ps(v, how) to_nearest(v) // the only way the kernels ask for
#define _mm512_max_ps greater
#define _mm512_mask_mov_ps chosen
#define _mm512_scalef_ps scaled
#define _mm512_reduce_add_ps sum_f32
#define _mm512_reduce_max_ps most_f32
#define _mm512_reduce_add_epi32 sum_i32
#define _mm512_reduce_max_epi32 most_i32
#define _mm512_cvtph_ps from_halves
#define _mm512_cvtps_ph(v, how) to_halves(v)
#define _mm512_dpbusd_epi32 dot_bytes
#define _mm512_dpbf16_ps dot_bf16
#define _mm512_cvtne2ps_pbh to_bf16
#define _mm512_permutex2var_epi16 picked
#define _mm512_unpacklo_epi32(a, b) ((__m512i)__builtin_shufflevector((by_i32)(a), (by_i32)(b), 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29))
#define _mm512_unpackhi_epi32(a, b) ((__m512i)__builtin_shufflevector((by_i32)(a), (by_i32)(b), 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31))
#define _mm512_unpacklo_epi64(a, b) ((__m512i)__builtin_shufflevector((by_i64)(a), (by_i64)(b), 0, 8, 2, 10, 4, 12, 6, 14))
#define _mm512_unpackhi_epi64(a, b) ((__m512i)__builtin_shufflevector((by_i64)(a), (by_i64)(b), 1, 9, 3, 11, 5, 13, 7, 15))
#define _mm512_shuffle_i32x4(a, b, which) shuffled(a, b, which)

WRITTEN __m512 each_f32(float x) {
  by_f32 v;
  for (int i = 0; i < 16; i++) v[i] = x;
  return (__m512)v;
}
WRITTEN __m512i each_i32(int x) {
  by_i32 v;
  for (int i = 0; i < 16; i++) v[i] = x;
  return (__m512i)v;
}
WRITTEN __m512i each_i8(char x) {
  by_i8 v;
  for (int i = 0; i < 64; i++) v[i] = x;
  return (__m512i)v;
}

// Where either is NaN: the second.
WRITTEN __m512 greater(__m512 a, __m512 b) {
  for (int i = 0; i < 16; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
  return a;
}
WRITTEN __m512 chosen(__m512 otherwise, __mmask16 mask, __m512 v) {
  for (int i = 0; i < 16; i++) v[i] = mask >> i & 1 ? v[i] : otherwise[i];
  return v;
}
WRITTEN __m512 to_nearest(__m512 v) {
  for (int i = 0; i < 16; i++) v[i] = rintf(v[i]);
  return v;
}
WRITTEN __m512 scaled(__m512 v, __m512 power) {
  for (int i = 0; i < 16; i++) {
    float n = floorf(power[i]);
    v[i] = isnan(v[i]) || isnan(n) ? NAN : ldexpf(v[i], n > 1000 ? 1000 : n < -1000 ? -1000 : (int)n);
  }
  return v;
}

// Halves are folded onto each other, as the compiler's reductions do.
WRITTEN float sum_f32(__m512 v) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v[i] += v[i + half];
  return v[0];
}
WRITTEN float most_f32(__m512 v) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
  return v[0];
}
WRITTEN int sum_i32(__m512i v) {
  by_u32 x = (by_u32)v;
  uint32_t sum = 0;
  for (int i = 0; i < 16; i++) sum += x[i];
  return (int)sum;
}
WRITTEN int most_i32(__m512i v) {
  by_i32 x = (by_i32)v;
  int most = x[0];
  for (int i = 1; i < 16; i++) most = x[i] > most ? x[i] : most;
  return most;
}

WRITTEN __m512 from_halves(__m256i v) {
  __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(v)), high = _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
  return (__m512)__builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
WRITTEN __m256i to_halves(__m512 v) {
  __m256 low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm256_set_m128i(_mm256_cvtps_ph(high, 0), _mm256_cvtps_ph(low, 0));
}

// VPDPBUSD: four unsigned bytes by four signed ones, added to a 32-bit lane without saturation.
WRITTEN __m512i dot_bytes(__m512i sums, __m512i codes, __m512i values) {
  by_u32 acc = (by_u32)sums;
  by_u8 a = (by_u8)codes;
  by_i8 b = (by_i8)values;
  for (int i = 0; i < 64; i++) acc[i / 4] += (uint32_t)((int32_t)a[i] * (int32_t)b[i]);
  return (__m512i)acc;
}

// BF16's instructions read and write denormal numbers as zero.
WRITTEN float normal(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
WRITTEN float bf16_float(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float x;
  memcpy(&x, &wide, 4);
  return normal(x);
}
WRITTEN uint16_t nearest_bf16(float x) {
  uint32_t bits;
  x = normal(x);
  memcpy(&bits, &x, 4);
  if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
// VDPBF16PS: the product of the upper two of each pair is added first.
WRITTEN __m512 dot_bf16(__m512 acc, __m512bh x, __m512bh y) {
  by_u16 a, b;
  memcpy(&a, &x, 64);
  memcpy(&b, &y, 64);
  for (int i = 0; i < 16; i++) {
    float sum = normal(fmaf(bf16_float(a[2 * i + 1]), bf16_float(b[2 * i + 1]), normal(acc[i])));
    acc[i] = normal(fmaf(bf16_float(a[2 * i]), bf16_float(b[2 * i]), sum));
  }
  return acc;
}
// VCVTNE2PS2BF16: the second operand becomes the lower half.
WRITTEN __m512bh to_bf16(__m512 high, __m512 low) {
  by_u16 bits;
  for (int i = 0; i < 16; i++) {
    bits[i] = nearest_bf16(low[i]);
    bits[16 + i] = nearest_bf16(high[i]);
  }
  __m512bh out;
  memcpy(&out, &bits, 64);
  return out;
}

// VPERMT2W: the lowest 6 bits of each index name one of both operands' 64 elements.
WRITTEN __m512i picked(__m512i a, __m512i index, __m512i b) {
  by_u16 x = (by_u16)a, y = (by_u16)b, at = (by_u16)index, out;
  for (int i = 0; i < 32; i++) out[i] = at[i] & 32 ? y[at[i] & 31] : x[at[i] & 31];
  return (__m512i)out;
}
// VSHUFI32X4: two quarters of the first operand, then two of the second.
WRITTEN __m512i shuffled(__m512i a, __m512i b, int which) {
  by_i64 x = (by_i64)a, y = (by_i64)b, out;
  for (int i = 0; i < 8; i++) out[i] = (i < 4 ? x : y)[2 * (which >> i / 2 * 2 & 3) + i % 2];
  return (__m512i)out;
}
