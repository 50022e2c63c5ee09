// SPDX-License-Identifier: Apache-2.0
// Step 3, second half: queues. One thread for each runs what was submitted, in order, each when its waits are reached.
#include "device.h"

#include <stdlib.h>
#include <string.h>

struct queue {
  baton_device *device;
  pthread_t thread;
  work *first, **last;
  uint32_t length; // work that has not ended, the one that runs included
  bool stops;
};

static void work_free(work *work) {
  if (work->destroy != NULL) work->destroy(work->data);
  free(work->waits);
  free(work->signals);
  free(work);
}

/// Whether work may begin; `failure` receives why it never will. The lock is held.
static bool is_due(const work *work, baton_status *failure) {
  if (work->device->cancelled) {
    refuse(failure, BATON_CANCELLED, "the device was quiesced before this work had begun");
    return true;
  }
  bool due = true;
  for (uint32_t i = 0; i < work->wait_count; i++) {
    baton_code code = timeline_failure(work->waits[i].timeline);
    if (code != BATON_OK) {
      refuse(failure, BATON_ABORTED, "what this work waited for failed with code %d", code);
      return true;
    }
    due = due && timeline_value(work->waits[i].timeline) >= work->waits[i].value;
  }
  return due;
}

void work_layers(work *work, uint32_t layers) {
  if (work->layers != NULL) timeline_reach(work->layers, work->layer_base + layers, work->start, now());
}

/// Tells the work's timelines how it ended.
static void work_end(work *work, const baton_status *failure) {
  uint64_t end = now();
  if (failure->code != BATON_OK && work->layers != NULL) timeline_break(work->layers, failure);
  for (uint32_t i = 0; i < work->signal_count; i++) {
    if (failure->code == BATON_OK) timeline_reach(work->signals[i].timeline, work->signals[i].value, work->start, end);
    else timeline_break(work->signals[i].timeline, failure);
  }
}

static void work_run(work *work, baton_status *failure) {
  work->start = now();
  if (failure->code == BATON_OK) {
    baton_code code = work->run(work, failure);
    failure->code = code;
  }
  work_end(work, failure);
}

static void *queue_thread(void *argument) {
  struct queue *queue = argument;
  lock();
  while (true) {
    while (queue->first == NULL && !queue->stops) await_change(UINT64_MAX);
    if (queue->first == NULL) break;
    work *work = queue->first;
    baton_status failure = {.size = sizeof failure};
    while (!is_due(work, &failure)) await_change(UINT64_MAX);
    unlock();
    work_run(work, &failure);
    lock();
    queue->first = work->next;
    if (queue->first == NULL) queue->last = &queue->first;
    unlock();
    work_free(work);
    lock();
    queue->length--;
    changed();
  }
  unlock();
  return NULL;
}

struct queue *queue_start(baton_device *device) {
  struct queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) return NULL;
  queue->device = device;
  queue->last = &queue->first;
  if (pthread_create(&queue->thread, NULL, queue_thread, queue) == 0) return queue;
  free(queue);
  return NULL;
}

void queue_stop(struct queue *queue) {
  if (queue == NULL) return;
  lock();
  queue->stops = true;
  changed();
  unlock();
  pthread_join(queue->thread, NULL);
  free(queue);
}

uint32_t queue_length(const struct queue *queue) { return queue->length; }

static baton_point *copy_points(const baton_point *points, uint32_t count) {
  baton_point *copy = malloc(sizeof *copy * (count > 0 ? count : 1));
  if (copy != NULL && count > 0) memcpy(copy, points, sizeof *copy * count);
  return copy;
}

static work *work_make(baton_device *device, const baton_sync *sync) {
  work *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->device = device;
  if (sync == NULL) return made;
  made->wait_count = sync->wait_count;
  made->signal_count = sync->signal_count;
  made->waits = copy_points(sync->waits, sync->wait_count);
  made->signals = copy_points(sync->signals, sync->signal_count);
  made->layers = BATON_HAS(sync, baton_sync, layer_timeline) ? sync->layer_timeline : NULL;
  made->layer_base = BATON_HAS(sync, baton_sync, layer_base) ? sync->layer_base : 0;
  if (made->waits != NULL && made->signals != NULL) return made;
  work_free(made);
  return NULL;
}

/// Appends work where the queue has room for it.
static baton_code append(struct queue *queue, work *work, baton_status *status) {
  lock();
  bool refuses = queue->device->refuses, full = queue->length >= QUEUE_DEPTH;
  if (!refuses && !full) {
    *queue->last = work;
    queue->last = &work->next;
    queue->length++;
    changed();
  }
  unlock();
  if (refuses) return refuse(status, BATON_FAILED_PRECONDITION, "the device is quiesced and takes no more work");
  if (full) return refuse(status, BATON_RESOURCE_EXHAUSTED, "the queue holds %d submits; wait for one to end", QUEUE_DEPTH);
  return BATON_OK;
}

baton_code queue_take(baton_device *device, const baton_sync *sync, baton_code (*run)(work *, baton_status *), void (*destroy)(void *), void *data,
                      bool now_without_sync, baton_status *status) {
  uint32_t number = sync == NULL || !BATON_HAS(sync, baton_sync, queue) ? 0 : sync->queue;
  work *work = number < QUEUES ? work_make(device, sync) : NULL;
  if (work == NULL) {
    if (destroy != NULL) destroy(data);
    if (number >= QUEUES) return refuse(status, BATON_INVALID_ARGUMENT, "queue %u of %d", number, QUEUES);
    return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory for a submit");
  }
  work->run = run;
  work->destroy = destroy;
  work->data = data;
  if (sync == NULL && now_without_sync) {
    baton_code code = run(work, status);
    work_free(work);
    return code;
  }
  baton_code code = append(device->queues[number], work, status);
  if (code != BATON_OK) work_free(work);
  return code;
}
