// SPDX-License-Identifier: Apache-2.0
// The note of this driver's library, which the host reads before it loads it. It says what the entry says.
#include "baton/note.h"

BATON_DRIVER_NOTE("trainium3", "1.0.0", BATON_ABI_MAJOR, 0, BATON_ABI_MAJOR, BATON_ABI_MINOR);
