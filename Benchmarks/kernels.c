// The cpu driver's linear and attention kernels alone, over shapes of a 135M model, with weights from memory and from cache.
// Prints one JSON object of rows: Gop/s (two for each multiply-add), GB/s of weights or KV read; attention also by its plain form. `make bench-micro` sets them beside the
// machine's limits of roofline.c. Build: clang -O3 -pthread -I Plugins/cpu/kernels/include Benchmarks/kernels.c Plugins/cpu/kernels/*.c -lm
// Arguments: threads, seconds for each row.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "CPUKernels.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t bytes) {
  bytes = (bytes + (1 << 21)) >> 21 << 21;
  void *p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) exit(1);
  madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

// One weight [outputs][inputs] of a layer, packed.
struct weight {
  size_t inputs, outputs;
  uint8_t *panels;
};

// A run: `weights` one after another by `tokens` rows, each thread its share of the panels.
struct run {
  const struct cpuk_table *table;
  int type;
  struct weight *weights;
  size_t count, tokens;
  struct cpuk_q8 q8;
  uint16_t *pairs;
  float *out;
};

// Attention of `tokens` tokens after `depth` positions, over 30 layers of KV in bf16; blocks lie in an order that nobody foresees.
enum { LAYERS = 30, HEADS = 9, KV_HEADS = 3, DIM = 64, BLOCK_TOKENS = 16, DEEPEST = 2048 + 32, BLOCKS = DEEPEST / BLOCK_TOKENS };
struct attention {
  void (*attend)(const struct cpuk_attention *);
  uint8_t *pool;
  uint32_t table[BLOCKS], positions[32];
  float *q, *out;
  uint32_t tokens, depth;
};

struct worker {
  const struct run *run;
  const struct attention *attention;
  int index, of;
  void *scratch;
};

static size_t panel_bytes(int type, size_t inputs) { return type == CPUK_BF16 ? inputs * 32 : cpuk_packed_bytes(type, inputs); }

static void pass(const struct worker *w) {
  const struct run *r = w->run;
  for (size_t i = 0; i < r->count; i++) {
    const struct weight *m = &r->weights[i];
    size_t panels = m->outputs / 16, first = panels * (size_t)w->index / (size_t)w->of, last = panels * (size_t)(w->index + 1) / (size_t)w->of;
    if (r->type == CPUK_BF16)
      r->table->linear_pairs(m->panels, m->inputs, first, last, m->outputs, r->pairs, r->tokens, 0, r->out, m->outputs);
    else r->table->linear_packed(r->type, m->panels, m->inputs, first, last, m->outputs, &r->q8, r->tokens, 0, r->out, m->outputs, w->scratch, 0);
  }
}

enum { KV_BLOCK_BYTES = 2 * KV_HEADS * BLOCK_TOKENS * DIM * 2 };

// Each thread its share of the tasks: a layer's KV heads, by as many tokens as a task may have.
static void attend_pass(const struct worker *w) {
  const struct attention *a = w->attention;
  uint32_t most = a->attend == w->run->table->attend ? CPUK_TOKENS : CPUK_FAST_TOKENS, each = (a->tokens + most - 1) / most;
  for (uint32_t i = (uint32_t)w->index; i < LAYERS * KV_HEADS * each; i += (uint32_t)w->of) {
    uint32_t layer = i / (KV_HEADS * each), head = i / each % KV_HEADS, first = i % each * most;
    struct cpuk_attention task = {.q = a->q, .out = a->out, .positions = a->positions, .first = first, .count = a->tokens - first < most ? a->tokens - first : most,
                                  .heads = HEADS, .kv_heads = KV_HEADS, .dim = DIM, .kv_head = head, .layer = a->pool + (size_t)layer * BLOCKS * KV_BLOCK_BYTES,
                                  .block_stride = KV_BLOCK_BYTES, .block_tokens = BLOCK_TOKENS, .type = CPUK_BF16, .table = a->table, .scale = 0.125f,
                                  .scratch = w->scratch};
    a->attend(&task);
  }
}

static atomic_int arrived;
static double until;
static atomic_long passes;

static void *work(void *argument) {
  struct worker *w = argument;
  size_t opened = cpuk_opened_bytes(1536), attended = cpuk_attention_scratch(DIM, HEADS / KV_HEADS) * sizeof(float);
  w->scratch = room(opened > attended ? opened : attended);
  atomic_fetch_add(&arrived, 1);
  while (atomic_load(&arrived) < w->of) {}
  while (now() < until) {
    w->attention ? attend_pass(w) : pass(w);
    atomic_fetch_add(&passes, 1);
  }
  return 0;
}

// Passes a second, all threads together counted once.
static double rate(const struct run *run, const struct attention *attention, int threads, double seconds) {
  pthread_t thread[64];
  struct worker workers[64];
  atomic_store(&arrived, 0);
  atomic_store(&passes, 0);
  double began = now();
  until = began + seconds;
  for (int i = 0; i < threads; i++) {
    workers[i] = (struct worker){run, attention, i, threads, 0};
    pthread_create(&thread[i], 0, work, &workers[i]);
  }
  for (int i = 0; i < threads; i++) pthread_join(thread[i], 0);
  return (double)atomic_load(&passes) / threads / (now() - began);
}

static uint32_t state = 1;
static uint32_t random32(void) { return state = state * 1664525u + 1013904223u; }

static struct weight made(int type, size_t inputs, size_t outputs) {
  struct weight w = {inputs, outputs, room(panel_bytes(type, inputs) * outputs / 16)};
  for (size_t i = 0; i < panel_bytes(type, inputs) * outputs / 16; i += 4) {
    uint32_t code = random32() & 0x2fff2fff; // scales and minima stay finite halves
    memcpy(w.panels + i, &code, 4);
  }
  return w;
}

static void print_attention(const struct run *run, int threads, double seconds) {
  struct attention a = {.pool = room((size_t)LAYERS * BLOCKS * KV_BLOCK_BYTES), .q = room(32 * HEADS * DIM * 4), .out = room(32 * HEADS * DIM * 4)};
  for (size_t i = 0; i < (size_t)LAYERS * BLOCKS * KV_BLOCK_BYTES / 2; i++) ((uint16_t *)a.pool)[i] = (uint16_t)(0x3e00 + (random32() >> 24) + (random32() >> 31 << 15));
  for (size_t i = 0; i < 32 * HEADS * DIM; i++) a.q[i] = (float)(int32_t)random32() / 0x1p31f;
  for (uint32_t i = 0; i < BLOCKS; i++) a.table[i] = (i * 37) % BLOCKS;
  const uint32_t tokens[] = {1, 32}, depths[] = {128, 512, 2048};
  for (int form = 0; form < 2; form++)
    for (int t = 0; t < 2; t++)
      for (int d = 0; d < 3; d++) {
        a.attend = form ? run->table->attend_fast : run->table->attend;
        if (!a.attend) continue;
        a.tokens = tokens[t], a.depth = depths[d];
        for (uint32_t i = 0; i < a.tokens; i++) a.positions[i] = a.depth + i;
        double each = rate(run, &a, threads, seconds), positions = 0;
        for (uint32_t i = 0; i < a.tokens; i++) positions += a.positions[i] + 1;
        printf(",\n{\"kernel\": \"%s bf16\", \"from\": \"depth %u\", \"tokens\": %u, \"gop_s\": %.1f, \"gb_s\": %.2f}", form ? "attend_fast" : "attend", a.depth,
               a.tokens, 4e-9 * LAYERS * HEADS * DIM * positions * each, 4e-9 * LAYERS * KV_HEADS * DIM * (a.depth + a.tokens) * each);
      }
}

enum { LAYER = 5 };
static const size_t shapes[LAYER][2] = {{576, 960}, {576, 576}, {576, 1536}, {576, 1536}, {1536, 576}};

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  double seconds = argc > 2 ? atof(argv[2]) : 0.3;
  if (threads < 1 || threads > 64) return 2;
  const struct cpuk_table *table = cpuk_for(cpuk_best());
  const int types[] = {CPUK_Q4_1, CPUK_Q4_0, CPUK_Q8_0, CPUK_BF16};
  const char *names[] = {"q4_1", "q4_0", "q8_0", "bf16"};
  const size_t tokens[] = {1, 2, 4, 8, 16, 64, 512};
  struct run run = {.table = table};
  run.q8.values = room(512 * 1536), run.q8.scales = room(512 * 48 * 4), run.q8.counts = room(512 * 48 * 4), run.q8.joined = room(512 * 48 * 4);
  run.pairs = room(512 * 1536 * 2), run.out = room(512 * 1536 * 4 + 4096);
  for (size_t i = 0; i < 512 * 1536; i++) run.q8.values[i] = (int8_t)(random32() >> 24), run.pairs[i] = (uint16_t)(0x3f00 + (random32() >> 28));
  for (size_t i = 0; i < 512 * 48; i++) run.q8.scales[i] = 0.01f, run.q8.counts[i] = 3, run.q8.joined[i] = 3 * 65536 + 32768 - 24;
  printf("{\"isa\": \"%s\", \"threads\": %d, \"rows\": [\n", table->name, threads);
  for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
    if (types[k] == CPUK_BF16 && !table->linear_pairs) continue;
    struct weight *weights = calloc(30 * LAYER, sizeof *weights);
    for (size_t i = 0; i < 30 * LAYER; i++) weights[i] = made(types[k], shapes[i % LAYER][0], shapes[i % LAYER][1]);
    run.type = types[k], run.weights = weights;
    for (int cached = 0; cached < 2; cached++)
      for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
        run.tokens = tokens[t], run.count = cached ? 2 : 30 * LAYER;
        double adds = 0, bytes = 0;
        for (size_t i = 0; i < run.count; i++) {
          adds += (double)weights[i].inputs * (double)weights[i].outputs * (double)run.tokens;
          bytes += (double)panel_bytes(types[k], weights[i].inputs) * (double)weights[i].outputs / 16;
        }
        double each = rate(&run, NULL, threads, seconds);
        printf("%s{\"kernel\": \"linear %s\", \"from\": \"%s\", \"tokens\": %zu, \"gop_s\": %.1f, \"gb_s\": %.2f}", k + cached + t ? ",\n" : "", names[k],
               cached ? "cache" : "memory", run.tokens, 2e-9 * adds * each, 1e-9 * bytes * each);
      }
    for (size_t i = 0; i < 30 * LAYER; i++) munmap(weights[i].panels, (panel_bytes(types[k], weights[i].inputs) * weights[i].outputs / 16 + (1 << 21)) >> 21 << 21);
    free(weights);
  }
  print_attention(&run, threads, seconds);
  printf("\n]}\n");
  return 0;
}
