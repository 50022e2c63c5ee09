// SPDX-License-Identifier: Apache-2.0
// Timelines: counters that only rise. An event is a timeline reaching a value. Waits and signals are (timeline, value) pairs.
#ifndef BATON_EVENT_H
#define BATON_EVENT_H

#include "device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct baton_timeline baton_timeline;

typedef struct baton_point {
  baton_timeline *timeline; // of the same driver as the call it is given to; the host carries signals between drivers
  uint64_t value;
} baton_point;

/// What a queued call waits for and signals. Borrowed until the call returns; the timelines must outlive the work.
struct baton_sync {
  uint32_t size;
  uint32_t wait_count;
  const baton_point *waits;   // all must be reached before the work starts; a failed one fails the work with ABORTED
  const baton_point *signals; // reached when the work has finished; failed with the work's status when it fails
  uint32_t signal_count;
  uint32_t queue;             // which queue of the device
  /// Where not null: reaches layer_base + i + 1 as soon as the KV of the i-th layer of this program (counted from 0) is complete in
  /// the pool for every token of the batch, in layer order. This is what lets a handoff run while prefill goes on.
  baton_timeline *layer_timeline;
  uint64_t layer_base;
};

/// A timeline having reached a value.
typedef struct baton_event {
  uint32_t size;
  baton_code code;   // OK, or why the timeline failed
  uint64_t value;    // the highest value reached; the one asked for once it is reached
  baton_clock clock; // of start_ns and end_ns; the two clocks never mix in one figure
  uint32_t reserved;
  uint64_t start_ns; // when the work that signalled this value began
  uint64_t end_ns;   // when it ended
} baton_event;

/// Runs once, on a thread of the driver, when the value is reached or the timeline fails. Must return soon; may call signal, query, submit.
typedef void (*baton_callback)(void *user, const baton_event *event);

struct baton_timeline_table {
  uint32_t size;
  uint32_t reserved;

  /// A timeline at `value`. Ownership: the caller's, until release. Does not block. Any thread. Since: 1.0
  baton_code (*create)(baton_device *device, uint64_t value, baton_timeline **out, baton_status *status);

  /// Frees it. No queued work may still name it. Null is allowed. Since: 1.0
  void (*release)(baton_device *device, baton_timeline *timeline);

  /// Whether `value` is reached, and when. `out->value` is the value asked for if it is reached, else the highest reached.
  /// Times are kept at least for the last 4,096 values signalled. Returns the timeline's failure as the code, with its words. Does not block. Since: 1.0
  baton_code (*query)(baton_device *device, baton_timeline *timeline, uint64_t value, baton_event *out, baton_status *status);

  /// Waits until `value` is reached or the timeline fails. Blocking: up to `timeout_ns` (UINT64_MAX: for ever). Any thread but a callback's.
  /// Errors: DEADLINE_EXCEEDED; the failure's own code. Since: 1.0
  baton_code (*wait)(baton_device *device, baton_timeline *timeline, uint64_t value, uint64_t timeout_ns, baton_event *out, baton_status *status);

  /// Reaches `value` from the host. Errors: INVALID_ARGUMENT when it is not above the present value. Does not block. Any thread. Since: 1.0
  baton_code (*signal)(baton_device *device, baton_timeline *timeline, uint64_t value, baton_status *status);

  /// Fails the timeline for good: every wait on it, now and later, gets `reason`, and queued work that waits on it is dropped with ABORTED.
  /// This is how work is cancelled. Does not block. Any thread. Since: 1.0
  baton_code (*fail)(baton_device *device, baton_timeline *timeline, const baton_status *reason, baton_status *status);

  /// Calls back when `value` is reached or the timeline fails; at once, on the calling thread, if it is so already. Never after quiesce returned.
  /// Does not block. Any thread. Since: 1.0
  baton_code (*notify)(baton_device *device, baton_timeline *timeline, uint64_t value, baton_callback callback, void *user, baton_status *status);
};

// Rules. `baton driver test` checks each against a driver's library.
// D27: A timeline begins at its value and only rises; a signal that is not above it is INVALID_ARGUMENT.
// D28: A wait that runs out gives DEADLINE_EXCEEDED, no sooner than its timeout and not much later.
// D29: A failed timeline gives its reason, code and words, to every wait and query from then on.
// D30: A callback runs once: at once where its value is reached already, and also when the timeline fails.
// D31: Events are timed on the device's clock, end no sooner than they start, and are kept for 4,096 values.
// D32: Queued work begins when all its waits are reached, and work of one queue ends in order.
// D33: Work whose wait fails is not run; its signals fail with ABORTED, and the queue goes on.
// D34: The layer timeline rises by one for each layer, in order, and not before that layer's KV is complete.

#ifdef __cplusplus
}
#endif
#endif
