// SPDX-License-Identifier: Apache-2.0
// Step 2: a device's life. open -> ... -> quiesce -> close
#include "device.h"

#include <stdlib.h>

void device_adopts(baton_device *device, object *object) {
  lock();
  object->next = device->objects.next;
  object->previous = &device->objects;
  object->next->previous = object->previous->next = object;
  unlock();
}

void device_drops(baton_device *device, object *object) {
  (void)device;
  if (object == NULL) return;
  lock();
  object->next->previous = object->previous;
  object->previous->next = object->next;
  unlock();
  object->destroy(object);
}

baton_code device_charge(baton_device *device, uint64_t bytes, const char *what, baton_status *status) {
  lock();
  uint64_t available = device->settings.memory - device->used;
  if (bytes <= available) device->used += bytes;
  unlock();
  if (bytes <= available) return BATON_OK;
  return refuse(status, BATON_RESOURCE_EXHAUSTED, "%s takes %llu bytes and %llu are free", what, (unsigned long long)bytes, (unsigned long long)available);
}

void device_returns(baton_device *device, uint64_t bytes) {
  lock();
  device->used -= bytes;
  unlock();
}

static void device_close(baton_device *device);

static baton_code device_open(const baton_options *options, baton_device **out, baton_status *status) {
  settings settings;
  baton_code code = read_options(options, &settings, status);
  if (code != BATON_OK) return code;
  baton_device *device = calloc(1, sizeof *device);
  if (device == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a device");
  device->settings = settings;
  device->objects.next = device->objects.previous = &device->objects;
  for (int i = 0; i < QUEUES; i++) {
    device->queues[i] = queue_start(device);
    if (device->queues[i] == NULL) {
      device_close(device);
      return refuse(status, BATON_RESOURCE_EXHAUSTED, "no thread for queue %d", i);
    }
  }
  *out = device;
  return BATON_OK;
}

static baton_code device_info(baton_device *device, baton_device_info *out, baton_status *status) { return give_info(&device->settings, out, status); }

static baton_code device_health(baton_device *device, baton_status *status) {
  (void)device, (void)status;
  return BATON_OK;
}

/// Work and callbacks that have not ended. The lock is held.
static bool is_busy(const baton_device *device) {
  bool busy = device->calling > 0;
  for (int i = 0; i < QUEUES; i++) busy = busy || (device->queues[i] != NULL && queue_length(device->queues[i]) > 0);
  return busy;
}

static baton_code device_quiesce(baton_device *device, uint64_t timeout_ns, baton_status *status) {
  uint64_t start = now(), deadline = timeout_ns > UINT64_MAX - start ? UINT64_MAX : start + timeout_ns;
  lock();
  device->refuses = true;
  while (is_busy(device) && await_change(deadline)) {}
  bool late = is_busy(device);
  if (late) {
    device->cancelled = true;
    changed();
    while (is_busy(device)) await_change(UINT64_MAX);
  }
  device->quiet = true;
  unlock();
  return late ? refuse(status, BATON_DEADLINE_EXCEEDED, "work was left after %llu ns and has been cancelled", (unsigned long long)timeout_ns) : BATON_OK;
}

static void device_close(baton_device *device) {
  if (device == NULL) return;
  device_quiesce(device, 0, NULL);
  for (int i = 0; i < QUEUES; i++) queue_stop(device->queues[i]);
  while (device->objects.next != &device->objects) device_drops(device, device->objects.next);
  free(device);
}

const baton_device_table device_table = {
    .size = sizeof device_table,
    .open = device_open,
    .info = device_info,
    .health = device_health,
    .quiesce = device_quiesce,
    .close = device_close,
};
