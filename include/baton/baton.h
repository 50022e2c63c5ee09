// SPDX-License-Identifier: Apache-2.0
// The Baton driver contract. A vendor copies this folder and needs nothing else.
//
// A driver is a shared library with a note (note.h) and exactly one exported symbol, `baton_driver_entry` (driver.h). Read in this order:
// status.h, note.h, driver.h, device.h, buffer.h, program.h, event.h, then the two interfaces kv.h and cost.h.
//
// Rules that hold everywhere:
//   Sizes      Every struct begins with `size`, in bytes, written by whoever fills the struct; the four small ones that are only ever parts of
//              others (baton_version, baton_string, baton_option, baton_point) and the note's header of ELF do not, and never change under a major. A callee requires that `size` reaches
//              the END of the last field it uses (BATON_HAS) and never that it equals a size it knows. In an array of structs the
//              elements are `size` bytes apart, as the first element states.
//   Tables     Tables of functions only grow at the end. A null slot means "unsupported".
//   Strings    UTF-8, pointer and length, no terminator. Strings a driver hands out live as long as the process.
//   Arrays     Arguments are borrowed until the call returns, unless the function says otherwise.
//   Status     A call returns a code of status.h; `status`, where not null, also receives the driver's own words.
//   Processes  Nothing here assumes that two devices share a process: memory between devices is named by `baton_memory`.
//   Clocks     Times are nanoseconds on a stated clock. Wall and modelled times are never added.
#ifndef BATON_BATON_H
#define BATON_BATON_H

#include "status.h"
#include "note.h"
#include "driver.h"
#include "device.h"
#include "buffer.h"
#include "program.h"
#include "event.h"
#include "kv.h"
#include "cost.h"

#endif
