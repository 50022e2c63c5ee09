// SPDX-License-Identifier: Apache-2.0
// Proves that a driver of another major refuses, and that the host can print both ranges: it speaks 2.0 to 2.3, and fills nothing else.
#include "skew.h"

NOTE("future_major", 2, 0, 2, 3);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  (void)host;
  out->abi_min = (baton_version){2, 0};
  out->abi_max = (baton_version){2, 3};
  return BATON_FAILED_PRECONDITION;
}
