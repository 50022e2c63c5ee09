// SPDX-License-Identifier: Apache-2.0
// Step 3: timelines. Everything asynchronous reports through these, so they come before anything that uses them.
#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STAMPS = 4096 };

typedef struct callback {
  struct callback *next;
  uint64_t value;
  baton_callback function;
  void *user;
} callback;

/// When a value was reached.
typedef struct stamp {
  uint64_t value, start, end;
} stamp;

struct baton_timeline {
  object object;
  baton_device *device;
  uint64_t value;
  baton_status failure;  // its code is OK while the timeline has not failed
  callback *callbacks;
  uint64_t signalled;    // values signalled; the last STAMPS of them are kept, number n at n % STAMPS
  stamp stamps[STAMPS];
};

// --- The lock.

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_condition(void) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

void lock(void) {
  pthread_once(&once, make_condition);
  pthread_mutex_lock(&mutex);
}
void unlock(void) { pthread_mutex_unlock(&mutex); }
void changed(void) { pthread_cond_broadcast(&condition); }

bool await_change(uint64_t deadline) {
  if (deadline == UINT64_MAX) return pthread_cond_wait(&condition, &mutex) == 0;
  struct timespec time = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
  return pthread_cond_timedwait(&condition, &mutex, &time) == 0;
}

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// --- States.

uint64_t timeline_value(const baton_timeline *timeline) { return timeline->value; }
baton_code timeline_failure(const baton_timeline *timeline) { return timeline->failure.code; }

/// What the timeline says of `value`. The lock is held.
static baton_event event_of(const baton_timeline *timeline, uint64_t value) {
  baton_event event = {.size = sizeof event, .code = timeline->failure.code, .clock = BATON_CLOCK_WALL,
                       .value = value <= timeline->value ? value : timeline->value};
  uint64_t low = timeline->signalled > STAMPS ? timeline->signalled - STAMPS : 0, high = timeline->signalled;
  while (low < high) { // the first value signalled that is not below the one reached
    uint64_t middle = low + (high - low) / 2;
    if (timeline->stamps[middle % STAMPS].value < event.value) low = middle + 1;
    else high = middle;
  }
  if (low < timeline->signalled) {
    event.start_ns = timeline->stamps[low % STAMPS].start;
    event.end_ns = timeline->stamps[low % STAMPS].end;
  }
  return event;
}

static void give_event(baton_event *out, baton_event event) {
  if (out == NULL || out->size < sizeof out->size) return;
  give(out, out->size, &event, sizeof event);
}

/// The answer to a query or a wait. The lock is held.
static baton_code answer(const baton_timeline *timeline, uint64_t value, baton_event *out, baton_status *status) {
  give_event(out, event_of(timeline, value));
  if (timeline->failure.code == BATON_OK) return BATON_OK;
  if (status != NULL && BATON_HAS(status, baton_status, message)) {
    baton_status failure = timeline->failure;
    give(status, status->size, &failure, sizeof failure);
  }
  return timeline->failure.code;
}

/// Calls back whoever waited for what has happened. The lock is held; it is let go while a callback runs.
static void call_back(baton_timeline *timeline) {
  for (callback **place = &timeline->callbacks; *place != NULL;) {
    callback *due = *place;
    if (due->value > timeline->value && timeline->failure.code == BATON_OK) {
      place = &due->next;
      continue;
    }
    *place = due->next;
    baton_device *device = timeline->device;
    if (!device->quiet) {
      baton_event event = event_of(timeline, due->value);
      device->calling++;
      unlock();
      due->function(due->user, &event);
      lock();
      device->calling--;
      changed();
      place = &timeline->callbacks; // the list may be another by now
    }
    free(due);
  }
}

void timeline_reach(baton_timeline *timeline, uint64_t value, uint64_t start, uint64_t end) {
  lock();
  if (value > timeline->value && timeline->failure.code == BATON_OK) {
    timeline->value = value;
    timeline->stamps[timeline->signalled++ % STAMPS] = (stamp){value, start, end};
    changed();
    call_back(timeline);
  }
  unlock();
}

void timeline_break(baton_timeline *timeline, const baton_status *reason) {
  lock();
  if (timeline->failure.code == BATON_OK) {
    timeline->failure = *reason;
    changed();
    call_back(timeline);
  }
  unlock();
}

// --- The table.

static void timeline_destroy(object *object) {
  baton_timeline *timeline = (baton_timeline *)object;
  while (timeline->callbacks != NULL) {
    callback *next = timeline->callbacks->next;
    free(timeline->callbacks);
    timeline->callbacks = next;
  }
  free(timeline);
}

static baton_code timeline_create(baton_device *device, uint64_t value, baton_timeline **out, baton_status *status) {
  baton_timeline *timeline = calloc(1, sizeof *timeline);
  if (timeline == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a timeline");
  timeline->object.destroy = timeline_destroy;
  timeline->device = device;
  timeline->value = value;
  device_adopts(device, &timeline->object);
  *out = timeline;
  return BATON_OK;
}

static void timeline_release(baton_device *device, baton_timeline *timeline) { device_drops(device, (object *)timeline); }

static baton_code timeline_query(baton_device *device, baton_timeline *timeline, uint64_t value, baton_event *out, baton_status *status) {
  (void)device;
  lock();
  baton_code code = answer(timeline, value, out, status);
  unlock();
  return code;
}

static baton_code timeline_wait(baton_device *device, baton_timeline *timeline, uint64_t value, uint64_t timeout_ns, baton_event *out,
                                baton_status *status) {
  (void)device;
  uint64_t start = now(), deadline = timeout_ns > UINT64_MAX - start ? UINT64_MAX : start + timeout_ns;
  lock();
  while (timeline->value < value && timeline->failure.code == BATON_OK && await_change(deadline)) {}
  bool late = timeline->value < value && timeline->failure.code == BATON_OK;
  uint64_t reached = timeline->value;
  baton_code code = answer(timeline, value, out, status);
  unlock();
  if (!late) return code;
  return refuse(status, BATON_DEADLINE_EXCEEDED, "after %llu ns a timeline is at %llu, and %llu was waited for", (unsigned long long)timeout_ns,
                (unsigned long long)reached, (unsigned long long)value);
}

static baton_code timeline_signal(baton_device *device, baton_timeline *timeline, uint64_t value, baton_status *status) {
  (void)device;
  lock();
  uint64_t present = timeline->value;
  unlock();
  if (value <= present)
    return refuse(status, BATON_INVALID_ARGUMENT, "signal of %llu to a timeline at %llu; it only rises", (unsigned long long)value, (unsigned long long)present);
  uint64_t time = now();
  timeline_reach(timeline, value, time, time);
  return BATON_OK;
}

static baton_code timeline_fail(baton_device *device, baton_timeline *timeline, const baton_status *reason, baton_status *status) {
  (void)device;
  baton_status copy = {.size = sizeof copy, .code = BATON_CANCELLED};
  if (reason != NULL && BATON_HAS(reason, baton_status, code)) memcpy(&copy, reason, reason->size < sizeof copy ? reason->size : sizeof copy);
  copy.size = sizeof copy;
  if (copy.message_length > sizeof copy.message) copy.message_length = sizeof copy.message;
  if (copy.code == BATON_OK) return refuse(status, BATON_INVALID_ARGUMENT, "a timeline cannot fail with OK; give the reason's code");
  timeline_break(timeline, &copy);
  return BATON_OK;
}

static baton_code timeline_notify(baton_device *device, baton_timeline *timeline, uint64_t value, baton_callback function, void *user,
                                  baton_status *status) {
  (void)device;
  callback *new = malloc(sizeof *new);
  if (new == NULL) return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a callback");
  lock();
  *new = (callback){timeline->callbacks, value, function, user};
  timeline->callbacks = new;
  call_back(timeline);
  unlock();
  return BATON_OK;
}

const baton_timeline_table timeline_table = {
    .size = sizeof timeline_table,
    .create = timeline_create,
    .release = timeline_release,
    .query = timeline_query,
    .wait = timeline_wait,
    .signal = timeline_signal,
    .fail = timeline_fail,
    .notify = timeline_notify,
};
