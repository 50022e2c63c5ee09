// SPDX-License-Identifier: Apache-2.0
// Step 4: memory.
#include "device.hpp"

#include <sys/mman.h>
#include <unistd.h>

uint8_t *reach_memory(const baton_memory *memory, bool writable, std::shared_ptr<void> &mapping) {
  if (memory == nullptr || !BATON_HAS(memory, baton_memory, length)) throw Failure(BATON_INVALID_ARGUMENT, "memory needs a struct with its size");
  if (memory->offset > UINT64_MAX - memory->length) throw Failure(BATON_INVALID_ARGUMENT, "memory whose offset and length overflow");
  if (memory->kind == BATON_MEMORY_HOST) {
    if (memory->address == 0) throw Failure(BATON_INVALID_ARGUMENT, "host memory at a null address");
    return reinterpret_cast<uint8_t *>(memory->address) + memory->offset;
  }
  if (memory->kind != BATON_MEMORY_MEMFD) throw Failure(BATON_UNIMPLEMENTED, text("memory of kind ", memory->kind, "; HOST and MEMFD are reached"));
  uint64_t before = memory->offset % uint64_t(sysconf(_SC_PAGESIZE)), length = memory->length + before;
  void *place = mmap(nullptr, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, int(memory->descriptor), off_t(memory->offset - before));
  if (place == MAP_FAILED) throw Failure(BATON_INVALID_ARGUMENT, text("descriptor ", memory->descriptor, " cannot be mapped"));
  mapping = std::shared_ptr<void>(place, [length](void *place) { munmap(place, length); });
  return static_cast<uint8_t *>(place) + before;
}

namespace {

void check(const baton_buffer *buffer, uint64_t offset, uint64_t length, const char *what) {
  if (offset <= buffer->length && length <= buffer->length - offset) return;
  throw Failure(BATON_OUT_OF_RANGE, text(what, " of ", length, " bytes at ", offset, " of a buffer of ", buffer->length));
}

void check_writable(const baton_buffer *buffer) {
  if (!buffer->writable) throw Failure(BATON_PERMISSION_DENIED, "memory imported for reading is written to");
}

baton_code allocate(baton_device *device, uint64_t length, baton_buffer **out, baton_status *status) {
  return guarded(status, [&] {
    if (length == 0) throw Failure(BATON_INVALID_ARGUMENT, "a buffer of 0 bytes; ask for 1 or more");
    auto buffer = std::make_shared<baton_buffer>();
    buffer->mapping = device->charge(length, "a buffer");
    buffer->own.resize(length + 64);
    buffer->base = buffer->own.data() + (64 - reinterpret_cast<uintptr_t>(buffer->own.data()) % 64) % 64;
    buffer->length = length;
    *out = device->keep(buffer);
  });
}

baton_code import_memory(baton_device *device, const baton_memory *memory, uint32_t access, baton_buffer **out, baton_status *status) {
  return guarded(status, [&] {
    auto buffer = std::make_shared<baton_buffer>();
    buffer->writable = (access & BATON_ACCESS_WRITE) != 0;
    buffer->base = reach_memory(memory, buffer->writable, buffer->mapping);
    buffer->length = memory->length;
    *out = device->keep(buffer);
  });
}

baton_code export_memory(baton_device *, baton_buffer *buffer, baton_memory_kind kind, baton_memory *out, baton_status *status) {
  return guarded(status, [&] {
    if (kind != BATON_MEMORY_HOST) throw Failure(BATON_UNIMPLEMENTED, text("a buffer is named as HOST memory only, not kind ", kind));
    give(out, baton_memory{0, kind, reinterpret_cast<uint64_t>(buffer->base), -1, 0, 0, buffer->length});
  });
}

void release(baton_device *device, baton_buffer *buffer) { device->drop(buffer); }

baton_code write(baton_device *, baton_buffer *buffer, uint64_t offset, const void *source, uint64_t length, baton_status *status) {
  return guarded(status, [&] {
    check(buffer, offset, length, "write");
    check_writable(buffer);
    std::memcpy(buffer->base + offset, source, length);
  });
}

baton_code read(baton_device *, baton_buffer *buffer, uint64_t offset, void *destination, uint64_t length, baton_status *status) {
  return guarded(status, [&] {
    check(buffer, offset, length, "read");
    std::memcpy(destination, buffer->base + offset, length);
  });
}

baton_code map(baton_device *, baton_buffer *buffer, uint32_t access, void **out, baton_status *status) {
  return guarded(status, [&] {
    if ((access & BATON_ACCESS_WRITE) != 0) check_writable(buffer);
    *out = buffer->base;
  });
}

void unmap(baton_device *, baton_buffer *) {}

baton_code copy(baton_device *to_device, baton_buffer *to, uint64_t to_offset, baton_device *, baton_buffer *from, uint64_t from_offset, uint64_t length,
                const baton_sync *sync, baton_status *status) {
  return guarded(status, [&] {
    check(to, to_offset, length, "copy");
    check(from, from_offset, length, "copy");
    check_writable(to);
    to_device->take(sync, [=](Work &) { std::memmove(to->base + to_offset, from->base + from_offset, length); }, true);
  });
}

} // namespace

const baton_buffer_table buffer_table = {sizeof buffer_table, 0, allocate, import_memory, export_memory, release, write, read, map, unmap, copy};
