#include "CPUKernels.h"

extern const struct cpuk_table cpuk_scalar_table;
#if defined(__x86_64__)
extern const struct cpuk_table cpuk_avx2_table, cpuk_avx512_table, cpuk_avx512bf16_table;
#endif

int cpuk_best(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
             __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return avx512 && __builtin_cpu_supports("avx512bf16") ? CPUK_AVX512BF16 : avx512 ? CPUK_AVX512 : avx2 ? CPUK_AVX2 : CPUK_SCALAR;
#else
  return CPUK_SCALAR;
#endif
}

const struct cpuk_table *cpuk_for(int isa) {
  if (isa < CPUK_SCALAR || isa > cpuk_best()) return 0;
#if defined(__x86_64__)
  if (isa == CPUK_AVX512BF16) return &cpuk_avx512bf16_table;
  if (isa == CPUK_AVX512) return &cpuk_avx512_table;
  if (isa == CPUK_AVX2) return &cpuk_avx2_table;
#endif
  return &cpuk_scalar_table;
}
