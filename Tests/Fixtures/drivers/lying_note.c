// SPDX-License-Identifier: Apache-2.0
// Proves that the host compares a note with what the entry says: the note promises 1.0 and the entry states 1.0 to 1.9.
#include "skew.h"

NOTE("lying_note", 1, 0, 1, 0);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_driver driver = skew_driver(TEXT("lying_note"), (baton_version){1, 0}, (baton_version){1, 9}, skew_choose(host, 9));
  skew_give(out, driver);
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
