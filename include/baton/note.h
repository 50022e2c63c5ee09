// SPDX-License-Identifier: Apache-2.0
// The note a library carries: who it is and which contract it speaks, for a host to read from the file before any of its code runs.
//
// It is an ELF note (type 1, owner "Baton") in the section .note.baton, which every linker puts into a PT_NOTE segment. Little endian,
// aligned to 4 bytes, in this order; write it so in a language without this macro:
//   byte 0     u32  6, the owner's length with its terminator
//   byte 4     u32  the length of what follows the owner, here 152
//   byte 8     u32  1, the type
//   byte 12    8 bytes  "Baton" and three zeros
//   byte 20    u32  152, the size of what begins here; a later minor version adds fields at the end and states more
//   byte 24    u32  0
//   byte 28    u32 u32  abi_min, major and minor
//   byte 36    u32 u32  abi_max, major and minor
//   byte 44    32 bytes  the driver's name, UTF-8, zeros after it
//   byte 76    32 bytes  its own version, likewise
//   byte 108   64 bytes  what identifies this build, such as a commit, likewise; all zeros leaves that to the linker's build id
// A library has one such note. It says what the entry will say: a host refuses a driver whose entry states another range, name or version.
#ifndef BATON_NOTE_H
#define BATON_NOTE_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BATON_NOTE_OWNER "Baton"
#define BATON_NOTE_TYPE 1u
#define BATON_NOTE_SECTION ".note.baton"

/// What a note says, from the owner's end on. Since: 1.1
typedef struct baton_note {
  uint32_t size;
  uint32_t reserved;
  baton_version abi_min; // what the entry will state
  baton_version abi_max;
  char name[32];         // as in baton_driver
  char version[32];
  char build[64];
} baton_note;

/// A note as it lies in the file: the header that ELF prescribes, and what it says.
typedef struct baton_note_record {
  uint32_t owner_size;
  uint32_t note_size;
  uint32_t type;
  char owner[8];
  baton_note note;
} baton_note_record;

/// What identifies a build; give it to the compiler, as in -DBATON_BUILD='"3f2a91c"'. At most 63 bytes.
#ifndef BATON_BUILD
#define BATON_BUILD ""
#endif

/// Writes the note of a driver. Stands once in a library, outside functions, in C or C++:
///   BATON_DRIVER_NOTE("mine", "1.0.0", 1, 0, BATON_ABI_MAJOR, BATON_ABI_MINOR);
#if defined(__ELF__)
#define BATON_DRIVER_NOTE(name, version, min_major, min_minor, max_major, max_minor)                                                \
  __attribute__((used, aligned(4), section(BATON_NOTE_SECTION))) static const baton_note_record baton_driver_note = {                \
      sizeof BATON_NOTE_OWNER, sizeof(baton_note), BATON_NOTE_TYPE, BATON_NOTE_OWNER,                                                \
      {sizeof(baton_note), 0, {min_major, min_minor}, {max_major, max_minor}, name, version, BATON_BUILD}}
#else
#define BATON_DRIVER_NOTE(name, version, min_major, min_minor, max_major, max_minor)                                                \
  typedef int baton_driver_note_is_of_elf
#endif

// Rules. `baton driver test` checks each against a driver's library.
// D68: The note states the range, name and version that the entry states; a library of contract 1.0 alone may have none.

#ifdef __cplusplus
}
#endif
#endif
