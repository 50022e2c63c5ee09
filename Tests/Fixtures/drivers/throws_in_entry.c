// SPDX-License-Identifier: Apache-2.0
// Proves that a driver whose entry fails is reported with its code and words: it returns INTERNAL with its range filled. The entry has
// no status, so the words go to the host's log.
#include "skew.h"

NOTE("throws_in_entry", 1, 0, 1, 0);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  out->abi_min = (baton_version){1, 0};
  out->abi_max = (baton_version){1, 0};
  if (host->log != NULL) host->log(host->context, BATON_LOG_ERROR, TEXT("throws_in_entry: its firmware table is damaged; reinstall the driver"));
  return BATON_INTERNAL;
}
