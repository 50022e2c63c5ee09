// SPDX-License-Identifier: Apache-2.0
// What the host reads from the file before it loads it. It says what the entry says.
#include "baton/note.h"

BATON_DRIVER_NOTE("{{name}}", "0.1.0", BATON_ABI_MAJOR, 0, BATON_ABI_MAJOR, BATON_ABI_MINOR);
