// The cpu driver's linear and attention kernels alone, over shapes of a 135M model, with weights from memory and from cache.
// Prints one JSON object of rows: Gop/s (two for each multiply-add), GB/s of weights or KV read. `make bench-micro` sets them beside the
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

struct worker {
  const struct run *run;
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
    else r->table->linear_packed(r->type, m->panels, m->inputs, first, last, m->outputs, &r->q8, r->tokens, 0, r->out, m->outputs, w->scratch);
  }
}

static atomic_int arrived;
static double until;
static atomic_long passes;

static void *work(void *argument) {
  struct worker *w = argument;
  w->scratch = room(cpuk_opened_bytes(1536));
  atomic_fetch_add(&arrived, 1);
  while (atomic_load(&arrived) < w->of) {}
  while (now() < until) {
    pass(w);
    atomic_fetch_add(&passes, 1);
  }
  return 0;
}

// Passes a second, all threads together counted once.
static double rate(const struct run *run, int threads, double seconds) {
  pthread_t thread[64];
  struct worker workers[64];
  atomic_store(&arrived, 0);
  atomic_store(&passes, 0);
  double began = now();
  until = began + seconds;
  for (int i = 0; i < threads; i++) {
    workers[i] = (struct worker){run, i, threads, 0};
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
  run.q8.values = room(512 * 1536), run.q8.scales = room(512 * 48 * 4), run.q8.sums = room(512 * 48 * 4), run.q8.counts = room(512 * 48 * 4);
  run.pairs = room(512 * 1536 * 2), run.out = room(512 * 1536 * 4 + 4096);
  for (size_t i = 0; i < 512 * 1536; i++) run.q8.values[i] = (int8_t)(random32() >> 24), run.pairs[i] = (uint16_t)(0x3f00 + (random32() >> 28));
  for (size_t i = 0; i < 512 * 48; i++) run.q8.scales[i] = 0.01f, run.q8.sums[i] = 0.1f, run.q8.counts[i] = 3;
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
        double each = rate(&run, threads, seconds);
        printf("%s{\"kernel\": \"linear %s\", \"from\": \"%s\", \"tokens\": %zu, \"gop_s\": %.1f, \"gb_s\": %.2f}", k + cached + t ? ",\n" : "", names[k],
               cached ? "cache" : "memory", run.tokens, 2e-9 * adds * each, 1e-9 * bytes * each);
      }
    for (size_t i = 0; i < 30 * LAYER; i++) munmap(weights[i].panels, (panel_bytes(types[k], weights[i].inputs) * weights[i].outputs / 16 + (1 << 21)) >> 21 << 21);
    free(weights);
  }
  printf("\n]}\n");
  return 0;
}
