// SPDX-License-Identifier: Apache-2.0
// The system's libffi. Only Sources/CFFI includes it: its global type descriptors are not for Swift.
#include <ffi.h>
