// SPDX-License-Identifier: Apache-2.0
// Codes, statuses, and the small types every other header uses.
#ifndef BATON_STATUS_H
#define BATON_STATUS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The version of these headers. See CHANGELOG.md for what each minor version added.
#define BATON_ABI_MAJOR 1u
#define BATON_ABI_MINOR 1u

/// True when a struct of the size its writer stated reaches the end of `field`.
#define BATON_HAS(pointer, type, field) \
  ((pointer)->size >= offsetof(type, field) + sizeof(((const type *)0)->field))

typedef struct baton_version {
  uint32_t major;
  uint32_t minor;
} baton_version;

/// UTF-8 text. `data` may be null when `length` is 0.
typedef struct baton_string {
  const char *data;
  uint64_t length;
} baton_string;

/// What a call returns: 0, or one of the 16 gRPC codes.
typedef int32_t baton_code;
enum {
  BATON_OK = 0,
  BATON_CANCELLED = 1,           // the caller asked to stop
  BATON_UNKNOWN = 2,             // the driver cannot say what happened
  BATON_INVALID_ARGUMENT = 3,    // wrong whatever the device's state
  BATON_DEADLINE_EXCEEDED = 4,   // a wait ran out; the work may still finish
  BATON_NOT_FOUND = 5,
  BATON_ALREADY_EXISTS = 6,
  BATON_PERMISSION_DENIED = 7,
  BATON_RESOURCE_EXHAUSTED = 8,  // memory or queue is full now; may succeed later
  BATON_FAILED_PRECONDITION = 9, // right call, wrong state
  BATON_ABORTED = 10,            // a peer or an earlier failure stopped it
  BATON_OUT_OF_RANGE = 11,       // past a limit the device states
  BATON_UNIMPLEMENTED = 12,      // this driver never does this
  BATON_INTERNAL = 13,           // a defect in the driver
  BATON_UNAVAILABLE = 14,        // the device is lost or not reachable
  BATON_DATA_LOSS = 15,          // data arrived damaged
  BATON_UNAUTHENTICATED = 16
};

/// A failure in the driver's own words. The caller owns it, sets `size` and zeroes the rest; the driver fills it only on failure.
typedef struct baton_status {
  uint32_t size;
  baton_code code;
  int64_t vendor_code;     // the vendor's number, 0 if none
  uint32_t message_length; // bytes used of `message`, at most sizeof message
  char message[492];       // one line of UTF-8, not terminated; a longer one is cut, if need be inside a character
} baton_status;

/// One `key: value` as the manifest wrote it.
typedef struct baton_option {
  baton_string key;
  baton_string value;
} baton_option;

typedef struct baton_options {
  uint32_t size;
  uint32_t count;
  const baton_option *items;
} baton_options;

/// Which clock a time is on.
typedef int32_t baton_clock;
enum {
  BATON_CLOCK_WALL = 1,    // CLOCK_MONOTONIC of the host, nanoseconds
  BATON_CLOCK_MODELLED = 2 // a device model's own clock; nanoseconds since the device was opened
};

/// The type of an element, or of a block of elements. Block types have the bit layout of the GGUF type of the same name.
typedef uint32_t baton_dtype;
enum {
  BATON_F32 = 1,
  BATON_F16 = 2,
  BATON_BF16 = 3,
  BATON_I32 = 4,
  BATON_U32 = 5,
  BATON_I8 = 6,
  BATON_MXFP8 = 7,
  BATON_Q4_0 = 16, // 32 elements: f16 scale, 16 bytes of nibbles;              18 bytes
  BATON_Q4_1 = 17, // 32 elements: f16 scale, f16 minimum, 16 bytes of nibbles; 20 bytes
  BATON_Q8_0 = 18  // 32 elements: f16 scale, 32 int8;                          34 bytes
};
/// The bit of a dtype in the masks of baton_device_info.
#define BATON_DTYPE_BIT(dtype) ((uint64_t)1 << (dtype))

// Rules. `baton driver test` checks each against a driver's library.
// D1: A call that fails returns a code of this header and fills the caller's status with one line of words.
// D2: A status may be null, or shorter than the struct of these headers; no byte past the size it states is written.

#ifdef __cplusplus
}
#endif
#endif
