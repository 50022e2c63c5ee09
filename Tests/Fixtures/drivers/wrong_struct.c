// SPDX-License-Identifier: Apache-2.0
// Proves that the host checks the version a driver says it chose: this one speaks 1.2 to 1.4 and claims 1.0, returning OK.
#include "skew.h"

NOTE("wrong_struct", 1, 2, 1, 4);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  (void)host;
  return skew_give(out, skew_driver(TEXT("wrong_struct"), (baton_version){1, 2}, (baton_version){1, 4}, (baton_version){1, 0}));
}
