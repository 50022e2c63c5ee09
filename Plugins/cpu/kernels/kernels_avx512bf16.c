// The kernels for one instruction set; see kernels.inc.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "CPUKernels.h"

#define NAME(x) cpuk_avx512bf16_##x
#define ISA CPUK_AVX512BF16
#define ISA_NAME "avx512 with bf16"
#define HAVE_AVX2 1
#define HAVE_BF16 1
#define HAVE_AVX512 1
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop
#endif
