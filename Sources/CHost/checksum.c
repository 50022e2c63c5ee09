#include "CHost.h"
#include <string.h>

typedef uint64_t lanes __attribute__((vector_size(64)));

static inline uint64_t mix(uint64_t value) {
  value = (value ^ value >> 29) * 0xC2B2AE3D27D4EB4Fu;
  return (value ^ value >> 32) * 0x9E3779B185EBCA87u;
}

// One stripe: keys differ by lane and, as they move on, by place, so that exchanged words and stripes are found.
#define ADD(sum)                                                                                                          \
  keyed = word ^ key;                                                                                                     \
  sum += (keyed & 0xFFFFFFFFu) * (keyed >> 32) + __builtin_shufflevector(word, word, 1, 0, 3, 2, 5, 4, 7, 6);

// Two sums, so that one addition need not wait for the one before. A macro, as vectors of 64 bytes cross no call where they are not native.
#define BODY                                                                                                              \
  lanes key = {0x9E3779B185EBCA87u, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u, 0x85EBCA77C2B2AE63u,                        \
               0x27D4EB2F165667C5u, 0xD6E8FEB86659FD93u, 0xA0761D6478BD642Fu, 0xE7037ED1A0B428DBu};                       \
  const lanes step = key * 2 + 1;                                                                                         \
  lanes first = key, second = ~key, word, keyed;                                                                               \
  size_t at = 0;                                                                                                          \
  for (; at + 128 <= count; at += 128, key += step) {                                                                     \
    memcpy(&word, bytes + at, 64);                                                                                        \
    ADD(first)                                                                                                            \
    memcpy(&word, bytes + at + 64, 64);                                                                                   \
    ADD(second)                                                                                                           \
  }                                                                                                                       \
  for (int i = 0; i < 8; i++) sums[i] = first[i], sums[8 + i] = second[i];                                                \
  return at;

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512dq"))) static size_t stripes_avx512(const unsigned char *bytes, size_t count, uint64_t *sums) { BODY }
__attribute__((target("avx2"))) static size_t stripes_avx2(const unsigned char *bytes, size_t count, uint64_t *sums) { BODY }
#endif
static size_t stripes_plain(const unsigned char *bytes, size_t count, uint64_t *sums) { BODY }

static size_t stripes(const unsigned char *bytes, size_t count, uint64_t *sums) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return stripes_avx512(bytes, count, sums);
  if (__builtin_cpu_supports("avx2")) return stripes_avx2(bytes, count, sums);
#endif
  return stripes_plain(bytes, count, sums);
}

uint64_t chost_checksum(const void *bytes, size_t count) {
  uint64_t sums[16], sum = count;
  const unsigned char *tail = bytes;
  size_t at = stripes(tail, count, sums);
  for (int i = 0; i < 16; i++) sum = mix(sum ^ sums[i]);
  for (; at < count; at++) sum = mix(sum ^ tail[at]);
  return sum;
}
