// SPDX-License-Identifier: Apache-2.0
// Step 2: a device's life. open -> ... -> quiesce -> close
#include "device.hpp"

void baton_device::drop(void *handle) {
  std::shared_ptr<void> last; // let go outside the lock
  std::lock_guard<std::mutex> hold(mutex);
  auto found = objects.find(handle);
  if (found == objects.end()) return;
  last.swap(found->second);
  objects.erase(found);
}

std::shared_ptr<void> baton_device::charge(uint64_t bytes, const char *what) {
  std::lock_guard<std::mutex> hold(mutex);
  uint64_t available = settings.memory - used;
  if (bytes > available) throw Failure(BATON_RESOURCE_EXHAUSTED, text(what, " takes ", bytes, " bytes and ", available, " are free"));
  used += bytes;
  return std::shared_ptr<void>(this, [bytes](void *device) {
    std::lock_guard<std::mutex> hold(mutex); // so nothing is let go while the lock is held
    static_cast<baton_device *>(device)->used -= bytes;
  });
}

namespace {

/// Work and callbacks that have not ended. The lock is held.
bool is_busy(const baton_device &device) {
  bool busy = device.calling > 0;
  for (auto &queue : device.queues) busy = busy || queue->length() > 0;
  return busy;
}

bool wait_until_idle(baton_device &device, uint64_t timeout_ns) {
  std::unique_lock<std::mutex> hold(mutex);
  device.refuses = true;
  // A century, where the host says "for ever": the clock must not overflow.
  auto time = std::chrono::nanoseconds(timeout_ns > UINT64_C(3000000000000000000) ? UINT64_C(3000000000000000000) : timeout_ns);
  bool idle = changed.wait_for(hold, time, [&] { return !is_busy(device); });
  if (!idle) {
    device.cancelled = true;
    changed.notify_all();
    changed.wait(hold, [&] { return !is_busy(device); });
  }
  device.quiet = true;
  return idle;
}

baton_code open(const baton_options *options, baton_device **out, baton_status *status) {
  return guarded(status, [&] {
    auto device = std::make_unique<baton_device>();
    device->settings = read_options(options);
    for (uint32_t i = 0; i < queue_count; i++) device->queues.push_back(std::make_unique<Queue>(*device));
    *out = device.release();
  });
}

baton_code info(baton_device *device, baton_device_info *out, baton_status *status) {
  return guarded(status, [&] { give(out, info_of(device->settings)); });
}

baton_code health(baton_device *, baton_status *) { return BATON_OK; }

baton_code quiesce(baton_device *device, uint64_t timeout_ns, baton_status *status) {
  return guarded(status, [&] {
    if (!wait_until_idle(*device, timeout_ns)) throw Failure(BATON_DEADLINE_EXCEEDED, text("work was left after ", timeout_ns, " ns and has been cancelled"));
  });
}

void close(baton_device *device) {
  if (device == nullptr) return;
  wait_until_idle(*device, 0);
  device->queues.clear();
  device->objects.clear();
  delete device;
}

} // namespace

const baton_device_table device_table = {sizeof device_table, 0, open, info, health, quiesce, close};
