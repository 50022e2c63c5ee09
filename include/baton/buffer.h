// SPDX-License-Identifier: Apache-2.0
// Memory: buffers of a device, and names for memory that more than one device or process can reach.
#ifndef BATON_BUFFER_H
#define BATON_BUFFER_H

#include "device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct baton_buffer baton_buffer;
typedef struct baton_sync baton_sync;

typedef int32_t baton_memory_kind;
enum {
  BATON_MEMORY_HOST = 1,   // `address` in this process
  BATON_MEMORY_MEMFD = 2,  // `descriptor` of a memfd, or of a file whose bytes stay as they are (weights): map it shared
  BATON_MEMORY_DMABUF = 3, // `descriptor` of a dma-buf
  BATON_MEMORY_LINK = 4    // `key` of a region registered with a link driver, `address` as the link gave it
};

/// A name for a range of memory. Naming it owns nothing: whoever made the memory keeps it alive while anyone uses the name.
/// A descriptor in it is borrowed: whoever keeps it duplicates it.
typedef struct baton_memory {
  uint32_t size;
  baton_memory_kind kind;
  uint64_t address;   // HOST: a pointer; LINK: the link's address
  int64_t descriptor; // MEMFD, DMABUF; -1 otherwise
  uint64_t key;       // LINK
  uint64_t offset;    // first byte of the range
  uint64_t length;    // bytes in the range
} baton_memory;

enum { BATON_ACCESS_READ = 1, BATON_ACCESS_WRITE = 2 };

struct baton_buffer_table {
  uint32_t size;
  uint32_t reserved;

  /// Allocates `length` bytes on the device, zeroed, aligned to 64 bytes. Ownership: the caller's, until release.
  /// Blocking: may. Any thread. Errors: RESOURCE_EXHAUSTED with bytes asked and bytes free; INVALID_ARGUMENT for 0. Since: 1.0
  baton_code (*allocate)(baton_device *device, uint64_t length, baton_buffer **out, baton_status *status);

  /// Makes a buffer of memory that exists already (mmapped weights), without a copy where the device can.
  /// `access` is of BATON_ACCESS_*. Ownership: the memory stays the caller's and outlives the buffer.
  /// Errors: UNIMPLEMENTED for a kind of memory the device cannot reach. Blocking: may. Any thread. Since: 1.0
  baton_code (*import_memory)(baton_device *device, const baton_memory *memory, uint32_t access, baton_buffer **out, baton_status *status);

  /// Names the buffer's memory for another device or process. Valid while the buffer lives. The first time, a driver may move the bytes to memory that
  /// can be so named: nothing else may use the buffer meanwhile.
  /// Errors: UNIMPLEMENTED for a kind this buffer cannot be named as. Does not block. Any thread. Since: 1.0
  baton_code (*export_memory)(baton_device *device, baton_buffer *buffer, baton_memory_kind kind, baton_memory *out, baton_status *status);

  /// Frees the buffer. No submit that uses it may be unfinished. Does not block for long. Null is allowed. Since: 1.0
  void (*release)(baton_device *device, baton_buffer *buffer);

  /// Copies host bytes into the buffer. Blocking: until `source` may be reused. Any thread; ranges in use by a submit are the caller's to avoid.
  /// Errors: OUT_OF_RANGE when offset + length passes the end. Since: 1.0
  baton_code (*write)(baton_device *device, baton_buffer *buffer, uint64_t offset, const void *source, uint64_t length, baton_status *status);

  /// Copies bytes out to host memory. As write. Since: 1.0
  baton_code (*read)(baton_device *device, baton_buffer *buffer, uint64_t offset, void *destination, uint64_t length, baton_status *status);

  /// A host pointer to the buffer's bytes, without a copy, until unmap. Errors: UNIMPLEMENTED where the host cannot see device memory;
  /// then use read and write. Does not block. Any thread. Since: 1.0
  baton_code (*map)(baton_device *device, baton_buffer *buffer, uint32_t access, void **out, baton_status *status);

  /// Ends a map. Since: 1.0
  void (*unmap)(baton_device *device, baton_buffer *buffer);

  /// Copies between buffers of two devices of this driver (or of one device). With `sync` it is queued and never blocks; with null it blocks.
  /// Errors: OUT_OF_RANGE. Any thread. Since: 1.0
  baton_code (*copy)(baton_device *to_device, baton_buffer *to, uint64_t to_offset, baton_device *from_device, baton_buffer *from,
                     uint64_t from_offset, uint64_t length, const baton_sync *sync, baton_status *status);
};

// Rules. `baton driver test` checks each against a driver's library.
// D18: A new buffer is zero, and gives back what was written, at any offset and length.
// D19: read and write that pass the end of a buffer are refused with OUT_OF_RANGE, also where offset + length overflows.
// D20: allocate refuses 0 bytes with INVALID_ARGUMENT, and more than the device has with RESOURCE_EXHAUSTED.
// D21: A device gives out no more than its memory, and what is released can be had again.
// D22: An imported range of host memory reads as its bytes, from its offset.
// D23: A map shows what write wrote, and read gives what was written through it.
// D24: copy copies exactly its range, queued or not, and refuses one past the end with OUT_OF_RANGE.
// D25: Exported memory is the buffer's own bytes.
// D26: release of null does nothing, for everything that can be released.

#ifdef __cplusplus
}
#endif
#endif
