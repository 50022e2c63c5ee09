// SPDX-License-Identifier: Apache-2.0
// Proves that what a driver prints to standard output spoils no report: it prints when it is loaded, when it is entered and at the end.
#include "skew.h"

#include <stdio.h>
#include <unistd.h>

NOTE("prints", 1, 0, 1, 0);

static void at_end(void) { puts("prints: a word at the end"); }

__attribute__((constructor)) static void at_load(void) {
  static const char words[] = "prints: a word at load\n";
  if (write(STDOUT_FILENO, words, sizeof words - 1) < 0) abort();
  atexit(at_end);
}

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_driver driver = skew_driver(TEXT("prints"), (baton_version){1, 0}, (baton_version){1, 0}, skew_choose(host, 0));
  puts("prints: a word at entry");
  skew_give(out, driver);
  return driver.abi.major == 1 ? BATON_OK : BATON_FAILED_PRECONDITION;
}
