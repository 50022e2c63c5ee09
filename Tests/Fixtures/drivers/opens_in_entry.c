// SPDX-License-Identifier: Apache-2.0
// Proves that an entry that opens a device is answered at once: the host refuses, and this driver passes the refusal's words on.
#include "skew.h"

NOTE("opens_in_entry", 1, 0, 1, 0);

BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out) {
  baton_peer peer = {.size = sizeof peer};
  baton_options none = {.size = sizeof none};
  baton_status status = {.size = sizeof status};
  baton_code code = host->open_device(host->context, TEXT("opens_in_entry"), &none, &peer, &status);
  baton_version only = {1, 0};
  skew_give(out, skew_driver(TEXT("opens_in_entry"), only, only, only));
  if (host->log != NULL) host->log(host->context, BATON_LOG_ERROR, (baton_string){status.message, status.message_length});
  return code;
}
