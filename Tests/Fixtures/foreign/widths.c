// SPDX-License-Identifier: Apache-2.0
// Functions of every scalar type, for the tests of foreign calls. Built by the tests with plain cc.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Results narrower than a register, negative where the type is signed.
bool not_bool(bool x) { return !x; }
int8_t next_i8(int8_t x) { return (int8_t)(x + 1); }
uint8_t next_u8(uint8_t x) { return (uint8_t)(x + 1); }
int16_t next_i16(int16_t x) { return (int16_t)(x + 1); }
uint16_t next_u16(uint16_t x) { return (uint16_t)(x + 1); }
int32_t next_i32(int32_t x) { return (int32_t)((uint32_t)x + 1); }
uint32_t next_u32(uint32_t x) { return x + 1; }
int64_t next_i64(int64_t x) { return (int64_t)((uint64_t)x + 1); }
uint64_t next_u64(uint64_t x) { return x + 1; }
float half_f32(float x) { return x / 2; }
double half_f64(double x) { return x / 2; }

// Types of all widths mixed, more of each than registers hold.
double mix(int8_t a, double b, uint16_t c, float d, int32_t e, double f, uint64_t g, float h, bool i, double j, int64_t k, double l, uint8_t m,
           double n, int16_t o, double p, uint32_t q, double r, float s, double t) {
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * (double)g + 8 * h + 9 * i + 10 * j + 11 * (double)k + 12 * l + 13 * m + 14 * n + 15 * o +
         16 * p + 17 * q + 18 * r + 19 * s + 20 * t;
}

static int32_t touched;
void touch(int32_t x) { touched = x; }
int32_t last_touched(void) { return touched; }

void *same(void *x) { return x; }
const char *greeting(bool there) { return there ? "gr\xC3\xBC\xC3\x9F dich" : NULL; }
uint64_t bytes(const char *text) { return strlen(text); }
void scale(float *values, uint64_t count, float by) {
  for (uint64_t i = 0; i < count; i++) values[i] *= by;
}

// Calls back with narrow types, and widens what comes back.
int64_t twice_i8(int8_t (*f)(int8_t), int8_t x) { return (int64_t)f(f(x)); }
uint64_t twice_u8(uint8_t (*f)(uint8_t), uint8_t x) { return (uint64_t)f(f(x)); }
int64_t twice_i16(int16_t (*f)(int16_t), int16_t x) { return (int64_t)f(f(x)); }
double twice_f32(float (*f)(float), float x) { return f(f(x)); }
int32_t count_to(uint32_t end, void (*f)(uint32_t, void *), void *user) {
  for (uint32_t i = 0; i < end; i++) f(i, user);
  return (int32_t)end;
}
