// SPDX-License-Identifier: Apache-2.0
// Step 4: memory.
#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void buffer_destroy(object *object) {
  baton_buffer *buffer = (baton_buffer *)object;
  if (buffer->charged > 0) free(buffer->base);
  if (buffer->mapping != NULL) munmap(buffer->mapping, buffer->mapped);
  device_returns(buffer->device, buffer->charged);
  free(buffer);
}

static baton_buffer *buffer_make(baton_device *device, uint64_t length) {
  baton_buffer *buffer = calloc(1, sizeof *buffer);
  if (buffer == NULL) return NULL;
  buffer->object.destroy = buffer_destroy;
  buffer->device = device;
  buffer->length = length;
  return buffer;
}

static baton_code buffer_allocate(baton_device *device, uint64_t length, baton_buffer **out, baton_status *status) {
  if (length == 0) return refuse(status, BATON_INVALID_ARGUMENT, "a buffer of 0 bytes; ask for 1 or more");
  baton_code code = device_charge(device, length, "a buffer", status);
  if (code != BATON_OK) return code;
  baton_buffer *buffer = buffer_make(device, length);
  void *base = NULL;
  if (buffer == NULL || posix_memalign(&base, 64, length) != 0) {
    free(buffer);
    device_returns(device, length);
    return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a buffer of %llu bytes", (unsigned long long)length);
  }
  memset(base, 0, length);
  buffer->base = base;
  buffer->charged = length;
  buffer->writable = true;
  device_adopts(device, &buffer->object);
  *out = buffer;
  return BATON_OK;
}

baton_code memory_reach(const baton_memory *memory, bool writable, uint8_t **base, void **mapping, uint64_t *mapped, baton_status *status) {
  *mapping = NULL;
  *mapped = 0;
  if (memory == NULL || !BATON_HAS(memory, baton_memory, length)) return refuse(status, BATON_INVALID_ARGUMENT, "memory needs a struct with its size");
  if (memory->offset > UINT64_MAX - memory->length) return refuse(status, BATON_INVALID_ARGUMENT, "memory whose offset and length overflow");
  if (memory->kind == BATON_MEMORY_HOST) {
    if (memory->address == 0) return refuse(status, BATON_INVALID_ARGUMENT, "host memory at a null address");
    *base = (uint8_t *)(uintptr_t)memory->address + memory->offset;
    return BATON_OK;
  }
  if (memory->kind != BATON_MEMORY_MEMFD) return refuse(status, BATON_UNIMPLEMENTED, "memory of kind %d; HOST and MEMFD are reached", memory->kind);
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), before = memory->offset % page;
  *mapped = memory->length + before;
  void *place = mmap(NULL, *mapped, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, (int)memory->descriptor, (off_t)(memory->offset - before));
  if (place == MAP_FAILED) return refuse(status, BATON_INVALID_ARGUMENT, "descriptor %lld cannot be mapped", (long long)memory->descriptor);
  *mapping = place;
  *base = (uint8_t *)place + before;
  return BATON_OK;
}

static baton_code buffer_import_memory(baton_device *device, const baton_memory *memory, uint32_t access, baton_buffer **out, baton_status *status) {
  if (memory == NULL || !BATON_HAS(memory, baton_memory, length) || memory->length == 0)
    return refuse(status, BATON_INVALID_ARGUMENT, "import of no memory; name 1 byte or more");
  baton_buffer *buffer = buffer_make(device, memory->length);
  if (buffer == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a buffer");
  buffer->writable = (access & BATON_ACCESS_WRITE) != 0;
  baton_code code = memory_reach(memory, buffer->writable, &buffer->base, &buffer->mapping, &buffer->mapped, status);
  if (code != BATON_OK) {
    free(buffer);
    return code;
  }
  device_adopts(device, &buffer->object);
  *out = buffer;
  return BATON_OK;
}

static baton_code buffer_export_memory(baton_device *device, baton_buffer *buffer, baton_memory_kind kind, baton_memory *out, baton_status *status) {
  (void)device;
  if (kind != BATON_MEMORY_HOST) return refuse(status, BATON_UNIMPLEMENTED, "a buffer is named as HOST memory only, not kind %d", kind);
  baton_memory memory = {.kind = kind, .address = (uint64_t)(uintptr_t)buffer->base, .descriptor = -1, .length = buffer->length};
  return give(out, out->size, &memory, sizeof memory);
}

static void buffer_release(baton_device *device, baton_buffer *buffer) { device_drops(device, (object *)buffer); }

static baton_code check_range(const baton_buffer *buffer, uint64_t offset, uint64_t length, const char *what, baton_status *status) {
  if (offset <= buffer->length && length <= buffer->length - offset) return BATON_OK;
  return refuse(status, BATON_OUT_OF_RANGE, "%s of %llu bytes at %llu of a buffer of %llu", what, (unsigned long long)length, (unsigned long long)offset,
                (unsigned long long)buffer->length);
}

static baton_code buffer_write(baton_device *device, baton_buffer *buffer, uint64_t offset, const void *source, uint64_t length, baton_status *status) {
  (void)device;
  baton_code code = check_range(buffer, offset, length, "write", status);
  if (code != BATON_OK) return code;
  if (!buffer->writable) return refuse(status, BATON_PERMISSION_DENIED, "write to memory that was imported for reading");
  memcpy(buffer->base + offset, source, length);
  return BATON_OK;
}

static baton_code buffer_read(baton_device *device, baton_buffer *buffer, uint64_t offset, void *destination, uint64_t length, baton_status *status) {
  (void)device;
  baton_code code = check_range(buffer, offset, length, "read", status);
  if (code == BATON_OK) memcpy(destination, buffer->base + offset, length);
  return code;
}

static baton_code buffer_map(baton_device *device, baton_buffer *buffer, uint32_t access, void **out, baton_status *status) {
  (void)device;
  if ((access & BATON_ACCESS_WRITE) != 0 && !buffer->writable) return refuse(status, BATON_PERMISSION_DENIED, "map for writing of memory imported for reading");
  *out = buffer->base;
  return BATON_OK;
}

static void buffer_unmap(baton_device *device, baton_buffer *buffer) { (void)device, (void)buffer; }

typedef struct copying {
  uint8_t *to;
  const uint8_t *from;
  uint64_t length;
} copying;

static baton_code copy_run(work *work, baton_status *status) {
  (void)status;
  const copying *copy = work->data;
  memmove(copy->to, copy->from, copy->length);
  return BATON_OK;
}

static baton_code buffer_copy(baton_device *to_device, baton_buffer *to, uint64_t to_offset, baton_device *from_device, baton_buffer *from,
                              uint64_t from_offset, uint64_t length, const baton_sync *sync, baton_status *status) {
  (void)from_device;
  baton_code code = check_range(to, to_offset, length, "copy", status);
  if (code == BATON_OK) code = check_range(from, from_offset, length, "copy", status);
  if (code != BATON_OK) return code;
  if (!to->writable) return refuse(status, BATON_PERMISSION_DENIED, "copy to memory that was imported for reading");
  copying *copy = malloc(sizeof *copy);
  if (copy == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a copy");
  *copy = (copying){to->base + to_offset, from->base + from_offset, length};
  return queue_take(to_device, sync, copy_run, free, copy, true, status);
}

const baton_buffer_table buffer_table = {
    .size = sizeof buffer_table,
    .allocate = buffer_allocate,
    .import_memory = buffer_import_memory,
    .export_memory = buffer_export_memory,
    .release = buffer_release,
    .write = buffer_write,
    .read = buffer_read,
    .map = buffer_map,
    .unmap = buffer_unmap,
    .copy = buffer_copy,
};
