// What this machine can do at most: multiply-adds a second by each instruction that the kernels use, and bytes a second read from memory and caches.
// Prints one JSON object. Build: cc -O3 -march=native -pthread roofline.c. Arguments: threads; `read` for what is read from memory alone.
#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { LANES = 12, ROUNDS = 4000000 };
static volatile float kept;

#if defined(__AVX512F__)
static void fp32(void) {
  __m512 acc[LANES], a = _mm512_set1_ps(1.0001f), b = _mm512_set1_ps(0.9999f);
  for (int i = 0; i < LANES; i++) acc[i] = _mm512_set1_ps((float)i);
  for (int r = 0; r < ROUNDS; r++)
    for (int i = 0; i < LANES; i++) acc[i] = _mm512_fmadd_ps(acc[i], a, b);
  for (int i = 0; i < LANES; i++) kept += _mm512_reduce_add_ps(acc[i]);
}
#define FP32_OPS 32
#elif defined(__AVX2__) && defined(__FMA__)
static void fp32(void) {
  __m256 acc[LANES], a = _mm256_set1_ps(1.0001f), b = _mm256_set1_ps(0.9999f);
  for (int i = 0; i < LANES; i++) acc[i] = _mm256_set1_ps((float)i);
  for (int r = 0; r < ROUNDS; r++)
    for (int i = 0; i < LANES; i++) acc[i] = _mm256_fmadd_ps(acc[i], a, b);
  for (int i = 0; i < LANES; i++) kept += _mm256_cvtss_f32(acc[i]);
}
#define FP32_OPS 16
#endif

#if defined(__AVX512VNNI__)
static void int8(void) {
  __m512i acc[LANES], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
  for (int i = 0; i < LANES; i++) acc[i] = _mm512_set1_epi32(i);
  for (int r = 0; r < ROUNDS; r++)
    for (int i = 0; i < LANES; i++) acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
  for (int i = 0; i < LANES; i++) kept += (float)_mm512_reduce_add_epi32(acc[i]);
}
#define INT8_OPS 128
#elif defined(__AVX2__)
// Sums in 16 bits, as the kernels have them within a block.
static void int8(void) {
  __m256i acc[LANES], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2);
  for (int i = 0; i < LANES; i++) acc[i] = _mm256_set1_epi16((short)i);
  for (int r = 0; r < ROUNDS; r++)
    for (int i = 0; i < LANES; i++) {
      __asm__ volatile("" : "+x"(a)); // so that the product is made each time
      acc[i] = _mm256_add_epi16(acc[i], _mm256_maddubs_epi16(a, b));
    }
  for (int i = 0; i < LANES; i++) kept += (float)_mm256_extract_epi16(acc[i], 0);
}
#define INT8_OPS 64
#endif

#if defined(__AVX512BF16__)
static void bf16(void) {
  __m512 acc[LANES];
  __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(0.5f)), b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(-1), _mm512_set1_ps(1));
  for (int i = 0; i < LANES; i++) acc[i] = _mm512_set1_ps((float)i);
  for (int r = 0; r < ROUNDS; r++)
    for (int i = 0; i < LANES; i++) acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
  for (int i = 0; i < LANES; i++) kept += _mm512_reduce_add_ps(acc[i]);
}
#endif

struct job {
  void (*work)(void);
  const uint8_t *from;
  size_t bytes;
  int passes;
};

typedef int64_t wide __attribute__((vector_size(64)));

#if defined(__AVX512F__)
enum { SUMS = 8 };
#else
enum { SUMS = 4 }; // two registers each
#endif

static void read_all(const struct job *j) {
  wide sum[SUMS] = {{0}};
  for (int p = 0; p < j->passes; p++)
    for (size_t i = 0; i < j->bytes; i += 512) {
      const wide *at = (const wide *)(const void *)(j->from + i);
      for (int k = 0; k < 8; k++) {
        __builtin_prefetch(j->from + i + 4096 + 64 * k);
        sum[k % SUMS] += at[k];
      }
    }
  for (int k = 0; k < SUMS; k++) kept += (float)sum[k][0];
}

static void *run(void *argument) {
  const struct job *j = argument;
  if (j->work) j->work();
  else read_all(j);
  return NULL;
}

/// The shortest of five runs on `threads` threads, in seconds.
static double fastest(struct job *jobs, int threads) {
  double best = 1e9;
  for (int r = 0; r < 5; r++) {
    pthread_t made[64];
    double begin = now();
    for (int t = 1; t < threads; t++) pthread_create(&made[t], NULL, run, &jobs[t]);
    run(&jobs[0]);
    for (int t = 1; t < threads; t++) pthread_join(made[t], NULL);
    double took = now() - begin;
    if (took < best) best = took;
  }
  return best;
}

static double gops(void (*work)(void), int each, int threads) {
  struct job jobs[64] = {{0}};
  for (int t = 0; t < threads; t++) jobs[t].work = work;
  return (double)threads * ROUNDS * LANES * each / fastest(jobs, threads) * 1e-9;
}

static double bandwidth(const uint8_t *memory, size_t bytes, int threads) {
  struct job jobs[64] = {{0}};
  size_t each = bytes / (size_t)threads / 512 * 512;
  for (int t = 0; t < threads; t++) jobs[t] = (struct job){NULL, memory + each * (size_t)t, each, (int)((512u << 20) / bytes) + 1};
  return (double)each * threads * jobs[0].passes / fastest(jobs, threads) * 1e-9;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 2;
  if (threads < 1 || threads > 64) return 2;
  size_t most = 256u << 20;
  uint8_t *memory = mmap(NULL, most + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  madvise(memory, most, MADV_HUGEPAGE);
  memset(memory, 1, most + 8192);
  printf("{\"threads\": %d", threads);
  if (count > 2 && strcmp(arguments[2], "read") == 0) {
    printf(", \"read_gb_s\": {\"256 MB\": %.1f}}\n", bandwidth(memory, most, threads));
    return 0;
  }
#if defined(INT8_OPS)
  printf(", \"int8_gops\": %.0f", gops(int8, INT8_OPS, threads));
#endif
#if defined(__AVX512BF16__)
  printf(", \"bf16_gops\": %.0f", gops(bf16, 64, threads));
#endif
#if defined(FP32_OPS)
  printf(", \"fp32_gops\": %.0f", gops(fp32, FP32_OPS, threads));
#endif
  printf(", \"read_gb_s\": {\"256 MB\": %.1f, \"32 MB\": %.1f, \"8 MB\": %.1f, \"1 MB\": %.1f}}\n", bandwidth(memory, most, threads),
         bandwidth(memory, 32u << 20, threads), bandwidth(memory, 8u << 20, threads), bandwidth(memory, 1u << 20, threads));
  return 0;
}
