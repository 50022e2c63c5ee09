// SPDX-License-Identifier: Apache-2.0
// Step 3: timelines and queues. Everything asynchronous reports through these, so they come before anything that uses them.
#include "device.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

std::mutex mutex;
std::condition_variable changed;

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

// --- Timelines.

baton_event baton_timeline::event(uint64_t asked) const {
  baton_event event{};
  event.code = failure.code;
  event.clock = BATON_CLOCK_WALL;
  event.value = std::min(asked, value);
  auto stamp = std::lower_bound(stamps.begin(), stamps.end(), event.value, [](const Stamp &stamp, uint64_t value) { return stamp.value < value; });
  if (stamp != stamps.end()) {
    event.start_ns = stamp->start;
    event.end_ns = stamp->end;
  }
  return event;
}

/// Calls back whoever waited for what has happened; the lock is let go while a callback runs.
void baton_timeline::call_back(std::unique_lock<std::mutex> &lock) {
  while (true) {
    auto due = std::find_if(callbacks.begin(), callbacks.end(), [&](const Callback &each) { return each.value <= value || failure.code != BATON_OK; });
    if (due == callbacks.end()) return;
    Callback callback = *due;
    callbacks.erase(due);
    if (device->quiet) continue;
    baton_event happened = event(callback.value);
    happened.size = sizeof happened;
    baton_device *of = device;
    of->calling++;
    lock.unlock();
    callback.function(callback.user, &happened);
    lock.lock();
    of->calling--;
    changed.notify_all();
  }
}

void baton_timeline::reach(uint64_t to, uint64_t start, uint64_t end) {
  std::unique_lock<std::mutex> lock(mutex);
  if (to <= value || failure.code != BATON_OK) return;
  value = to;
  stamps.push_back({to, start, end});
  if (stamps.size() > 4096) stamps.pop_front();
  changed.notify_all();
  call_back(lock);
}

void baton_timeline::fail(const Failure &reason) {
  std::unique_lock<std::mutex> lock(mutex);
  if (failure.code != BATON_OK) return;
  failure = reason;
  changed.notify_all();
  call_back(lock);
}

// --- Queues.

Queue::Queue(baton_device &device) : device(device), thread([this] { loop(); }) {}

Queue::~Queue() {
  {
    std::lock_guard<std::mutex> hold(mutex);
    stops = true;
    changed.notify_all();
  }
  thread.join();
}

void Queue::take(std::shared_ptr<Work> work) {
  std::lock_guard<std::mutex> hold(mutex);
  if (device.refuses) throw Failure(BATON_FAILED_PRECONDITION, "the device is quiesced and takes no more work");
  if (length() >= queue_depth) throw Failure(BATON_RESOURCE_EXHAUSTED, text("the queue holds ", queue_depth, " submits; wait for one to end"));
  works.push_back(std::move(work));
  changed.notify_all();
}

namespace {

/// Whether work may begin; `failure` receives why it never will. The lock is held.
bool is_due(const baton_device &device, const Work &work, Failure &failure) {
  if (device.cancelled) failure = Failure(BATON_CANCELLED, "the device was quiesced before this work had begun");
  bool due = true;
  for (const baton_point &point : work.waits) {
    if (point.timeline->failure.code != BATON_OK && failure.code == BATON_OK)
      failure = Failure(BATON_ABORTED, text("what this work waited for failed: ", point.timeline->failure.words));
    due = due && point.timeline->value >= point.value;
  }
  return due || failure.code != BATON_OK;
}

} // namespace

void Queue::loop() {
  std::unique_lock<std::mutex> lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stops || !works.empty(); });
    if (works.empty()) return;
    std::shared_ptr<Work> work = works.front();
    Failure failure(BATON_OK, "");
    changed.wait(lock, [&] { return is_due(device, *work, failure); });
    works.pop_front();
    running = true;
    lock.unlock();
    work->start = now();
    try {
      if (failure.code == BATON_OK) work->run(*work);
    } catch (const Failure &thrown) {
      failure = thrown;
    } catch (const std::bad_alloc &) {
      failure = Failure(BATON_RESOURCE_EXHAUSTED, "no host memory");
    } catch (const std::exception &thrown) {
      failure = Failure(BATON_INTERNAL, thrown.what());
    }
    uint64_t end = now();
    if (failure.code != BATON_OK && work->layers != nullptr) work->layers->fail(failure);
    for (const baton_point &point : work->signals) {
      if (failure.code == BATON_OK) point.timeline->reach(point.value, work->start, end);
      else point.timeline->fail(failure);
    }
    work.reset();
    lock.lock();
    running = false;
    changed.notify_all();
  }
}

void baton_device::take(const baton_sync *sync, std::function<void(Work &)> run, bool now_without_sync) {
  auto work = std::make_shared<Work>();
  work->run = std::move(run);
  if (sync == nullptr && now_without_sync) return work->run(*work);
  uint32_t queue = 0;
  if (sync != nullptr) {
    work->waits.assign(sync->waits, sync->waits + sync->wait_count);
    work->signals.assign(sync->signals, sync->signals + sync->signal_count);
    queue = sync->queue;
    if (BATON_HAS(sync, baton_sync, layer_base)) {
      work->layers = sync->layer_timeline;
      work->layer_base = sync->layer_base;
    }
  }
  if (queue >= queue_count) throw Failure(BATON_INVALID_ARGUMENT, text("queue ", queue, " of ", queue_count));
  queues[queue]->take(work);
}

// --- The table.

namespace {

void answer(const baton_timeline *timeline, uint64_t value, baton_event *out) {
  if (out != nullptr) give(out, timeline->event(value));
  if (timeline->failure.code != BATON_OK) throw timeline->failure;
}

baton_code create(baton_device *device, uint64_t value, baton_timeline **out, baton_status *status) {
  return guarded(status, [&] {
    auto timeline = std::make_shared<baton_timeline>();
    timeline->device = device;
    timeline->value = value;
    *out = device->keep(timeline);
  });
}

void release(baton_device *device, baton_timeline *timeline) { device->drop(timeline); }

baton_code query(baton_device *, baton_timeline *timeline, uint64_t value, baton_event *out, baton_status *status) {
  return guarded(status, [&] {
    std::lock_guard<std::mutex> hold(mutex);
    answer(timeline, value, out);
  });
}

baton_code wait(baton_device *, baton_timeline *timeline, uint64_t value, uint64_t timeout_ns, baton_event *out, baton_status *status) {
  return guarded(status, [&] {
    std::unique_lock<std::mutex> lock(mutex);
    auto time = std::chrono::nanoseconds(std::min(timeout_ns, UINT64_C(3000000000000000000)));
    bool over = changed.wait_for(lock, time, [&] { return timeline->value >= value || timeline->failure.code != BATON_OK; });
    answer(timeline, value, out);
    if (!over) throw Failure(BATON_DEADLINE_EXCEEDED, text("after ", timeout_ns, " ns a timeline is at ", timeline->value, ", and ", value, " was waited for"));
  });
}

baton_code signal(baton_device *, baton_timeline *timeline, uint64_t value, baton_status *status) {
  return guarded(status, [&] {
    std::unique_lock<std::mutex> lock(mutex);
    if (value <= timeline->value) throw Failure(BATON_INVALID_ARGUMENT, text("signal of ", value, " to a timeline at ", timeline->value, "; it only rises"));
    lock.unlock();
    uint64_t time = now();
    timeline->reach(value, time, time);
  });
}

baton_code fail(baton_device *, baton_timeline *timeline, const baton_status *reason, baton_status *status) {
  return guarded(status, [&] {
    Failure why(BATON_CANCELLED, "");
    if (reason != nullptr && BATON_HAS(reason, baton_status, code)) why.code = reason->code;
    if (reason != nullptr && BATON_HAS(reason, baton_status, message)) why.words.assign(reason->message, std::min<size_t>(reason->message_length, sizeof reason->message));
    if (why.code == BATON_OK) throw Failure(BATON_INVALID_ARGUMENT, "a timeline cannot fail with OK; give the reason's code");
    timeline->fail(why);
  });
}

baton_code notify(baton_device *, baton_timeline *timeline, uint64_t value, baton_callback callback, void *user, baton_status *status) {
  return guarded(status, [&] {
    std::unique_lock<std::mutex> lock(mutex);
    bool due = timeline->value >= value || timeline->failure.code != BATON_OK;
    bool quiet = timeline->device->quiet;
    if (!due) timeline->callbacks.push_back({value, callback, user});
    baton_event event = timeline->event(value);
    event.size = sizeof event;
    lock.unlock();
    if (due && !quiet) callback(user, &event);
  });
}

} // namespace

const baton_timeline_table timeline_table = {sizeof timeline_table, 0, create, release, query, wait, signal, fail, notify};
