// Runs every kernel of every instruction set over seeded shapes, on memory of exactly the stated size and at odd addresses: whole by one
// thread, then shared out over 1 to 8 threads, whose results must be the same bit for bit. A test builds it with each sanitizer.
// Usage: shared_out SEED ROUNDS; prints the number of comparisons; 1 with a line for the first difference.
#include "CPUKernels.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;
static unsigned long compared;

static uint64_t draw(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}
static size_t between(size_t low, size_t high) { return low + draw() % (high - low + 1); }
static float real(void) { return (float)((double)draw() / (double)(1u << 30) - 1); }

// Memory of exactly `bytes` that begins `odd` bytes past an alignment of 64: what lies outside belongs to nobody.
typedef struct { void *base, *at; } room;
static room make(size_t bytes, size_t odd) {
  void *base = NULL;
  if (posix_memalign(&base, 64, bytes + odd)) exit(2);
  return (room){base, (char *)base + odd};
}
static room reals(size_t count) {
  room r = make(count * 4, 4 * between(0, 15));
  for (size_t i = 0; i < count; i++) ((float *)r.at)[i] = real();
  return r;
}
static room poison(size_t count, size_t odd) {
  room r = make(count * 4, odd);
  memset(r.at, 0xFF, count * 4);
  return r;
}

static void same(const char *what, const char *isa, unsigned threads, const float *a, const float *b, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (memcmp(a + i, b + i, 4) != 0 || isnan(a[i])) {
      fprintf(stderr, "%s, %s, %u threads: element %zu of %zu is %g, alone %g\n", what, isa, threads, i, count, (double)b[i], (double)a[i]);
      exit(1);
    }
  }
  compared++;
}

// A job shared out: piece `index` of `count`, done by the thread that has it.
typedef struct job {
  void (*piece)(struct job *, size_t index, size_t thread);
  size_t count, threads;
  void *context;
} job;
typedef struct { job *of; size_t thread; } part;

static void *run_part(void *argument) {
  part *p = argument;
  for (size_t i = p->thread; i < p->of->count; i += p->of->threads) p->of->piece(p->of, i, p->thread);
  return NULL;
}

static void share_out(job *j) {
  pthread_t threads[8];
  part parts[8];
  for (size_t t = 0; t < j->threads; t++) {
    parts[t] = (part){j, t};
    if (pthread_create(&threads[t], NULL, run_part, &parts[t])) exit(2);
  }
  for (size_t t = 0; t < j->threads; t++) pthread_join(threads[t], NULL);
}

// Weights of any type: scales and values that are finite.
static room weights(int type, size_t rows, size_t inputs) {
  size_t bytes = cpuk_bytes(type, inputs) * rows;
  room r = make(bytes, type == CPUK_F32 ? 4 * between(0, 3) : 2 * between(0, 7));
  uint8_t *b = r.at;
  if (type == CPUK_F32) {
    for (size_t i = 0; i < rows * inputs; i++) ((float *)r.at)[i] = real();
  } else if (type == CPUK_F16 || type == CPUK_BF16) {
    for (size_t i = 0; i < rows * inputs; i++) ((uint16_t *)r.at)[i] = (uint16_t)((draw() & 0x83FF) | (type == CPUK_F16 ? 0x3000 : 0x3E00));
  } else {
    size_t block = cpuk_bytes(type, 32);
    for (size_t i = 0; i < bytes; i++) b[i] = (uint8_t)draw();
    for (size_t i = 0; i < bytes; i += block) {
      b[i + 1] = (uint8_t)(0x20 | (b[i + 1] & 0x83));
      if (type == CPUK_Q4_1) b[i + 3] = (uint8_t)(0x20 | (b[i + 3] & 0x80));
    }
  }
  return r;
}

typedef struct {
  const struct cpuk_table *table;
  int type;
  size_t inputs, outputs, tokens, cut;
  const void *weights;
  const struct cpuk_q8 *q8;
  const void *x;
  const float *bias;
  float *out;
  void *scratch[8];
} linear;

static void packed_piece(job *j, size_t i, size_t thread) {
  linear *l = j->context;
  size_t panels = (l->outputs + 15) / 16, first = i * l->cut, last = first + l->cut < panels ? first + l->cut : panels;
  l->table->linear_packed(l->type, l->weights, l->inputs, first, last, l->outputs, l->q8, l->tokens, l->bias, l->out, l->outputs, l->scratch[thread], 0);
}
static void rows_piece(job *j, size_t i, size_t thread) {
  (void)thread;
  linear *l = j->context;
  size_t first = i * l->cut, last = first + l->cut < l->outputs ? first + l->cut : l->outputs;
  l->table->linear_rows(l->type, l->weights, l->inputs, first, last, l->x, l->tokens, l->bias, l->out, l->outputs);
}
static void pairs_piece(job *j, size_t i, size_t thread) {
  (void)thread;
  linear *l = j->context;
  size_t panels = (l->outputs + 15) / 16, first = i * l->cut, last = first + l->cut < panels ? first + l->cut : panels;
  l->table->linear_pairs(l->weights, l->inputs, first, last, l->outputs, l->x, l->tokens, l->bias, l->out, l->outputs);
}

static void check_shared(const char *what, linear *l, size_t units, void (*piece)(job *, size_t, size_t)) {
  float *alone = l->out;
  size_t count = l->tokens * l->outputs;
  l->cut = units;
  job whole = {piece, 1, 1, l};
  piece(&whole, 0, 0);
  for (unsigned threads = 1; threads <= 8; threads++) {
    room found = poison(count, 4 * between(0, 15));
    l->out = found.at;
    l->cut = between(1, units);
    job j = {piece, (units + l->cut - 1) / l->cut, threads, l};
    share_out(&j);
    same(what, l->table->name, threads, alone, found.at, count);
    free(found.base);
  }
  l->out = alone;
}

static void check_quantised(const struct cpuk_table *table, int type) {
  size_t inputs = 32 * between(1, 12), outputs = between(1, 90), tokens = between(1, 70), panels = (outputs + 15) / 16, blocks = tokens * inputs / 32;
  room w = weights(type, outputs, inputs), x = reals(tokens * inputs), bias = reals(outputs), out = poison(tokens * outputs, 4);
  room codes = make(tokens * inputs, between(0, 63)), scales = poison(blocks, 4), counts = poison(blocks, 8), joined = poison(blocks, 12);
  room packed = make(panels * cpuk_packed_bytes(type, inputs), 0);
  struct cpuk_q8 q8 = {codes.at, scales.at, counts.at, joined.at};
  for (size_t t = 0; t < tokens; t++)
    table->quantise((float *)x.at + t * inputs, inputs, q8.values + t * inputs, q8.scales + t * inputs / 32, q8.counts + t * inputs / 32, q8.joined + t * inputs / 32);
  for (size_t p = 0; p < panels; p++)
    table->pack(type, w.at, inputs, p * 16, outputs - p * 16 < 16 ? outputs - p * 16 : 16, (char *)packed.at + p * cpuk_packed_bytes(type, inputs));
  linear l = {table, type, inputs, outputs, tokens, 0, packed.at, &q8, x.at, draw() % 2 ? bias.at : NULL, out.at, {0}};
  room scratch[8];
  for (int i = 0; i < 8; i++) l.scratch[i] = (scratch[i] = make(cpuk_opened_bytes(inputs), 0)).at;
  check_shared("linear_packed", &l, panels, packed_piece);
  l.weights = w.at;
  check_shared("linear_rows, quantised", &l, outputs, rows_piece);
  for (int i = 0; i < 8; i++) free(scratch[i].base);
  room all[] = {w, x, bias, out, codes, scales, counts, joined, packed};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i].base);
}

static void check_dense(const struct cpuk_table *table, int type) {
  size_t inputs = 2 * between(1, 150), outputs = between(1, 70), tokens = between(1, 40), panels = (outputs + 15) / 16;
  room w = weights(type, outputs, inputs), x = reals(tokens * inputs), bias = reals(outputs), out = poison(tokens * outputs, 4), row = reals(inputs);
  linear l = {table, type, inputs, outputs, tokens, 0, w.at, NULL, x.at, draw() % 2 ? bias.at : NULL, out.at, {0}};
  check_shared("linear_rows, plain", &l, outputs, rows_piece);
  room narrow = make(tokens * inputs * 2, 2 * between(0, 7)), pairs = make(panels * 16 * inputs * 2, 0);
  table->narrow(CPUK_BF16, x.at, narrow.at, tokens * inputs);
  for (size_t p = 0; p < panels; p++)
    cpuk_pack_panel(table, type, w.at, inputs, p * 16, outputs - p * 16 < 16 ? outputs - p * 16 : 16, CPUK_BF16, (char *)pairs.at + p * 16 * inputs * 2, row.at);
  l.weights = pairs.at;
  l.x = narrow.at;
  check_shared("linear_pairs", &l, panels, pairs_piece);
  room all[] = {w, x, bias, out, row, narrow, pairs};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i].base);
}

typedef struct {
  const struct cpuk_table *table;
  struct cpuk_attention *tasks;
  int fast;
  void *scratch[8];
  size_t segments, found_floats;
  float *found;
} attention;

static void task_piece(job *j, size_t i, size_t thread) {
  attention *a = j->context;
  struct cpuk_attention task = a->tasks[i];
  task.scratch = a->scratch[thread];
  if (a->fast && i + 1 < j->count) a->table->attend_ask(&a->tasks[i + 1], 0);
  (a->fast ? a->table->attend_fast : a->table->attend)(&task);
}
static void segment_piece(job *j, size_t i, size_t thread) {
  attention *a = j->context;
  struct cpuk_attention task = a->tasks[i / a->segments];
  task.scratch = a->scratch[thread];
  a->table->attend_segment(&task, (uint32_t)(i % a->segments), a->found + i * a->found_floats);
}

static void check_attention(const struct cpuk_table *table, int type, int fast) {
  uint32_t kv_heads = (uint32_t)between(1, 3), group = (uint32_t)between(1, 4), heads = kv_heads * group, dim = (uint32_t)(fast ? 32 * between(1, 4) : 16 * between(1, 8));
  uint32_t block_tokens = (uint32_t)between(1, 40), count = (uint32_t)between(1, fast ? CPUK_FAST_TOKENS : CPUK_TOKENS), past = (uint32_t)between(0, 600);
  uint32_t total = past + count, blocks = (total + block_tokens - 1) / block_tokens;
  size_t element = type == CPUK_F32 ? 4 : 2, block_bytes = (size_t)2 * kv_heads * block_tokens * dim * element;
  room pool = make(block_bytes * (blocks + 1), 0), q = reals((size_t)count * heads * dim), table_room = make(blocks * 4, 4), positions = make(count * 4, 4);
  for (size_t i = 0; i < block_bytes * (blocks + 1) / element; i++)
    if (element == 4) ((float *)pool.at)[i] = real();
    else ((uint16_t *)pool.at)[i] = (uint16_t)((draw() & 0x83FF) | (type == CPUK_F16 ? 0x3000 : 0x3E00));
  for (uint32_t b = 0; b < blocks; b++) ((uint32_t *)table_room.at)[b] = blocks - b;
  for (uint32_t i = 0; i < count; i++) ((uint32_t *)positions.at)[i] = past + i;
  room out = poison((size_t)count * heads * dim, 4);
  struct cpuk_attention tasks[3];
  for (uint32_t h = 0; h < kv_heads; h++)
    tasks[h] = (struct cpuk_attention){q.at, out.at, positions.at, 0, count, heads, kv_heads, dim, h, pool.at, block_bytes, block_tokens, type, table_room.at,
                                       0.125f, draw() % 4 ? 0 : 30, draw() % 3 ? 0 : (uint32_t)between(1, 300), NULL};
  attention a = {table, tasks, fast, {0}, 0, 0, NULL};
  room scratch[8];
  for (int i = 0; i < 8; i++) a.scratch[i] = (scratch[i] = make(cpuk_attention_scratch(dim, group) * 4, 0)).at;
  job whole = {task_piece, kv_heads, 1, &a};
  for (size_t i = 0; i < kv_heads; i++) task_piece(&whole, i, 0);
  size_t floats = (size_t)count * heads * dim;
  for (unsigned threads = 1; threads <= 8; threads++) {
    room found = poison(floats, 4 * between(0, 15));
    for (uint32_t h = 0; h < kv_heads; h++) tasks[h].out = found.at;
    job j = {task_piece, kv_heads, threads, &a};
    share_out(&j);
    same(fast ? "attend_fast" : "attend", table->name, threads, out.at, found.at, floats);
    if (fast) {
      a.segments = (total + CPUK_SEGMENT - 1) / CPUK_SEGMENT;
      a.found_floats = cpuk_segment_floats((size_t)count * group, dim);
      room parts = make(a.segments * a.found_floats * kv_heads * 4, 0);
      a.found = parts.at;
      memset(found.at, 0xFF, floats * 4);
      job s = {segment_piece, kv_heads * a.segments, threads, &a};
      share_out(&s);
      for (uint32_t h = 0; h < kv_heads; h++) table->attend_merge(&tasks[h], (uint32_t)a.segments, a.found + h * a.segments * a.found_floats);
      same("attend_segment and attend_merge", table->name, threads, out.at, found.at, floats);
      free(parts.base);
    }
    free(found.base);
  }
  for (int i = 0; i < 8; i++) free(scratch[i].base);
  room all[] = {pool, q, table_room, positions, out};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i].base);
}

// Kernels of a row, whole and in two halves.
static void check_rows(const struct cpuk_table *table) {
  size_t count = between(1, 700), cut = 16 * between(0, count / 16);
  room a = reals(count), b = reals(count), whole = poison(count, 4), halves = poison(count, 8), bits = make(count * 2, 2);
  void (*two[])(const float *, const float *, float *, size_t) = {table->add, table->mul, table->swiglu};
  const char *names[] = {"add", "mul", "swiglu"};
  for (int i = 0; i < 3; i++) {
    two[i](a.at, b.at, whole.at, count);
    two[i](a.at, b.at, halves.at, cut);
    two[i]((float *)a.at + cut, (float *)b.at + cut, (float *)halves.at + cut, count - cut);
    same(names[i], table->name, 1, whole.at, halves.at, count);
  }
  table->softcap(a.at, 3, whole.at, count);
  table->softcap(a.at, 3, halves.at, cut);
  table->softcap((float *)a.at + cut, 3, (float *)halves.at + cut, count - cut);
  same("softcap", table->name, 1, whole.at, halves.at, count);
  for (int type = CPUK_F16; type <= CPUK_BF16; type++) {
    table->round(type, a.at, whole.at, count);
    table->narrow(type, a.at, bits.at, count);
    table->widen(type, bits.at, halves.at, count);
    same("round, and narrow with widen", table->name, 1, whole.at, halves.at, count);
  }
  table->rms_norm(a.at, b.at, 1e-5f, whole.at, count);
  table->rms_norm(a.at, b.at, 1e-5f, halves.at, count);
  same("rms_norm", table->name, 1, whole.at, halves.at, count);
  size_t heads = between(1, 4), dim = 2 * between(1, 40), dims = 2 * between(1, dim / 2);
  room x = reals(heads * dim), turned = poison(heads * dim, 4), turns = make(dims * 4, 4), again = poison(heads * dim, 12);
  cpuk_turns(17, 1, 10000, dims, turns.at);
  for (int style = 1; style <= 2; style++) {
    table->rope(x.at, turned.at, heads, dim, dims, turns.at, style);
    memcpy(again.at, x.at, heads * dim * 4);
    table->rope(again.at, again.at, heads, dim, dims, turns.at, style);
    same("rope, and rope in place", table->name, 1, turned.at, again.at, heads * dim);
  }
  room all[] = {a, b, whole, halves, bits, x, turned, turns, again};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i].base);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  state = strtoull(argv[1], NULL, 10);
  int rounds = atoi(argv[2]);
  static const int quantised[] = {CPUK_Q4_0, CPUK_Q4_1, CPUK_Q8_0}, dense[] = {CPUK_F32, CPUK_F16, CPUK_BF16};
  for (int isa = 0; isa <= cpuk_best(); isa++) {
    const struct cpuk_table *table = cpuk_for(isa);
    for (int round = 0; round < rounds; round++) {
      for (int i = 0; i < 3; i++) {
        check_quantised(table, quantised[i]);
        check_dense(table, dense[i]);
        check_attention(table, dense[i], 0);
        if (table->attend_fast) check_attention(table, dense[i], 1);
      }
      check_rows(table);
    }
  }
  printf("%lu\n", compared);
  return 0;
}
