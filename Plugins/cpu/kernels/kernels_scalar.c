// The kernels for one instruction set; see kernels.inc.
#include <math.h>
#include <string.h>
#include "CPUKernels.h"

#define NAME(x) cpuk_scalar_##x
#define ISA CPUK_SCALAR
#define ISA_NAME "scalar"
#define HAVE_AVX2 0
#define HAVE_BF16 0
#define HAVE_AVX512 0
#include "kernels.inc"
