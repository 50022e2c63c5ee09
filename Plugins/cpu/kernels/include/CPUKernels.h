// The cpu driver's kernels. Every function is pure: it reads and writes only what its arguments name, allocates nothing, and may be
// called from any thread. Matrices are dense and row-major. `cpuk_for` picks the table of an instruction set once, when a device opens.
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/// Instruction sets, each including the ones before it.
enum cpuk_isa {
  CPUK_SCALAR = 0, // whatever the target's baseline is
  CPUK_AVX2 = 1,   // AVX2, FMA, F16C
  CPUK_AVX512 = 2, // AVX-512 F, BW, DQ, VL, VNNI
  CPUK_AVX512BF16 = 3 // and AVX-512 BF16
};

/// The types of weights, numbered as the contract's baton_dtype.
enum cpuk_type { CPUK_F32 = 1, CPUK_F16 = 2, CPUK_BF16 = 3, CPUK_Q4_0 = 16, CPUK_Q4_1 = 17, CPUK_Q8_0 = 18 };

/// Elements in a block of quantised values.
#define CPUK_BLOCK 32
/// Rows of W in a panel of repacked weights.
#define CPUK_PANEL 16
/// Tokens of an attention task at most, for `attend` and for `attend_fast`.
#define CPUK_TOKENS 16
#define CPUK_FAST_TOKENS 64
/// Positions with one softmax in `attend_fast`.
#define CPUK_SEGMENT 256

/// Tokens of a batch quantised to int8: `values` [T][I] within -127 and 127, and for each block of 32 a scale, the sum of the values, and that sum
/// once more as 65536 * sum + 32768 - 8 * sum, which Q4_1's sums begin with.
struct cpuk_q8 {
  int8_t *values;
  float *scales; // [T][I / 32]
  int32_t *counts; // [T][I / 32]
  int32_t *joined; // [T][I / 32]
};

/// Memory that a linear operation asks for on the way, for an attention after it: `bytes` of each of `blocks` [next, last), `stride` apart from `base`
/// on. Moved on by who uses it; one thread's.
struct cpuk_ask {
  const uint8_t *base;
  const uint32_t *blocks;
  uint64_t stride, bytes, at;
  uint32_t next, last;
};

/// One attention task: some tokens of one sequence, one KV head with the query heads that share it.
struct cpuk_attention {
  const float *q;            // [T][heads * dim]
  float *out;                // [T][heads * dim]
  const uint32_t *positions; // [T]
  uint32_t first, count;     // the tokens of this task, at most CPUK_TOKENS, one sequence, positions ascending
  uint32_t heads, kv_heads, dim, kv_head;
  const uint8_t *layer;      // the pool's storage of this layer: [block][plane][head][token][dim]
  uint64_t block_stride;     // bytes from a block to the next
  uint32_t block_tokens;
  int32_t type;              // cpuk_type of the pool: F32, F16, BF16
  const uint32_t *table;     // blocks of the sequence
  float scale, cap;          // cap 0: none
  uint32_t window;           // 0: all
  float *scratch;            // cpuk_attention_scratch(dim, heads / kv_heads) floats, 64-byte aligned
};

struct cpuk_table {
  int isa;
  const char *name;
  /// One row of `count` elements of any type as f32, exactly.
  void (*dequantise)(int type, const void *row, float *out, size_t count);
  /// To nearest even, to bf16 or f16, in f32 form (`round`) or as bits (`narrow`).
  void (*round)(int type, const float *in, float *out, size_t count);
  void (*narrow)(int type, const float *in, uint16_t *out, size_t count);
  void (*widen)(int type, const uint16_t *in, float *out, size_t count);
  /// `count` (a multiple of 32) values of one row to int8 blocks.
  void (*quantise)(const float *x, size_t count, int8_t *values, float *scales, int32_t *counts, int32_t *joined);
  /// Rows [first, first + width) of quantised W into one panel of 16 rows; missing rows are zero. A panel has cpuk_packed_bytes bytes.
  void (*pack)(int type, const void *weights, size_t inputs, size_t first, size_t width, void *panel);
  /// out[t][o] for the rows of panels [first, last) that are below `outputs`, and all T: packed weights by int8 activations. Row stride of
  /// `out` is `ld`. `scratch`: cpuk_opened_bytes(inputs) bytes, one for each thread. `ask` may be null. A result does not depend on T nor on the range.
  void (*linear_packed)(int type, const void *weights, size_t inputs, size_t first, size_t last, size_t outputs, const struct cpuk_q8 *x,
                        size_t tokens, const float *bias, float *out, size_t ld, void *scratch, struct cpuk_ask *ask);
  /// out[t][o] for rows [first, last) of W and all T: weights of any type by f32 activations, dequantised as they are used; best for few tokens.
  /// The same as linear_panel's of a panel of those rows in f32, bit for bit.
  void (*linear_rows)(int type, const void *weights, size_t inputs, size_t first, size_t last, const float *x, size_t tokens,
                      const float *bias, float *out, size_t ld);
  /// The same for one panel of 16 outputs stored [I][16] as f32 or f16. `width` outputs count.
  void (*linear_panel)(int type, const void *panel, size_t inputs, size_t width, const float *x, size_t tokens, const float *bias,
                       float *out, size_t ld);
  /// Panels of bf16 pairs [I / 2][16][2], I even, by bf16 activations [T][I], f32 sums; ranges as linear_packed's.
  void (*linear_pairs)(const void *weights, size_t inputs, size_t first, size_t last, size_t outputs, const uint16_t *x, size_t tokens,
                       const float *bias, float *out, size_t ld);
  void (*rms_norm)(const float *x, const float *weight, float epsilon, float *out, size_t count);
  /// Turns the first `dims` of each of `heads` heads; `turns` is [dims / 2][2] of cosine and sine. style as baton_rope_style.
  void (*rope)(const float *x, float *out, size_t heads, size_t head_dim, size_t dims, const float *turns, int style);
  void (*swiglu)(const float *gate, const float *up, float *out, size_t count);
  void (*add)(const float *a, const float *b, float *out, size_t count);
  void (*mul)(const float *a, const float *b, float *out, size_t count);
  void (*softcap)(const float *x, float cap, float *out, size_t count);
  /// In f32.
  void (*attend)(const struct cpuk_attention *task);
  /// The same for dim a multiple of 32, by segments of positions; null where the processor has no AVX2. A task may have up to
  /// CPUK_FAST_TOKENS tokens. With f32 sums, and in bf16 where attends_in_bf16 says so, else in f32.
  void (*attend_fast)(const struct cpuk_attention *task);
  /// 1 where attend_fast rounds queries, keys, values and probabilities to bf16.
  int attends_in_bf16;
  /// Asks memory for the KV that a task, or a segment of it, reads first; for when another is about to run.
  void (*attend_ask)(const struct cpuk_attention *task, uint32_t segment);
  /// The same in parts, for more threads than tasks: each segment of CPUK_SEGMENT positions into cpuk_segment_floats floats of its own, one
  /// after another in memory, then all of them merged into `out`. The results are attend_fast's, bit for bit.
  void (*attend_segment)(const struct cpuk_attention *task, uint32_t segment, float *found);
  void (*attend_merge)(const struct cpuk_attention *task, uint32_t segments, float *found);
};

/// The best instruction set of this processor and operating system.
int cpuk_best(void);
/// The table of `isa`, or null when the processor lacks it.
const struct cpuk_table *cpuk_for(int isa);
/// Floats of scratch an attention task needs.
size_t cpuk_attention_scratch(size_t dim, size_t group);
/// Bytes of a panel of packed quantised weights, and of scratch to open one of them.
size_t cpuk_packed_bytes(int type, size_t inputs);
size_t cpuk_opened_bytes(size_t inputs);
/// Floats that hold what a segment found, for `rows` = tokens * heads / kv_heads.
size_t cpuk_segment_floats(size_t rows, size_t dim);
/// Bytes of `count` elements of a type; 0 for an unknown type.
size_t cpuk_bytes(int type, size_t count);
/// Cosines and sines of one position: out [dims / 2][2], angle = position * scale * base^(-2i / dims), computed in double.
void cpuk_turns(double position, double scale, double base, size_t dims, float *out);
/// Packs rows [first, first + width) of W into a panel of 16: [I][16] of f32 or f16, [I / 2][16][2] of bf16; missing rows are zero. `row` is I floats of scratch.
void cpuk_pack_panel(const struct cpuk_table *table, int from, const void *weights, size_t inputs, size_t first, size_t width, int to,
                     void *panel, float *row);

/// Makes the `length` bytes mapped at `base`, the first of a page, those of an anonymous file whose length cannot change: mapped shared at the same
/// place, with the same content. The file's descriptor, closed on exec, or the negated errno, in which case nothing has changed.
int cpuk_share(void *base, size_t length);

/// memcpy for a target that is not read soon: it is written without being read first, and displaces nothing from the caches.
void cpuk_copy_past_caches(void *to, const void *from, size_t length);

/// Asks for `length` bytes, which are read soon, to be brought into the second cache.
static inline void cpuk_ask_for(const void *from, size_t length) {
  for (size_t at = 0; at < length; at += 64) __builtin_prefetch((const char *)from + at, 0, 2);
}

/// Tells the processor that this thread is spinning.
static inline void cpuk_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

#endif
