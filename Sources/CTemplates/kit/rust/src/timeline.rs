//! Step 3: timelines and queues. Everything asynchronous reports through these, so they come before anything that uses them.
use crate::contract::*;
use crate::need;
use crate::device::Device;
use crate::QUEUE_DEPTH;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What waits and what is waited for, under one lock. A faster driver has one for each device.
#[derive(Default)]
pub struct State {
    timelines: HashMap<u64, Line>,
    queues: HashMap<u64, QueueState>,
    next: u64,
    /// Devices that call nobody back any more, and callbacks of each that have not returned.
    pub quiet: HashSet<usize>,
    pub calling: HashMap<usize, u32>,
}

static STATE: OnceLock<Mutex<State>> = OnceLock::new();
pub static CHANGED: Condvar = Condvar::new();

pub fn state() -> MutexGuard<'static, State> {
    STATE.get_or_init(|| Mutex::new(State::default())).lock().unwrap_or_else(|broken| broken.into_inner())
}

fn wait_for_change(state: MutexGuard<'static, State>) -> MutexGuard<'static, State> {
    CHANGED.wait(state).unwrap_or_else(|broken| broken.into_inner())
}

/// Nanoseconds of CLOCK_MONOTONIC, which is what Instant counts; the contract's wall clock.
pub fn now() -> u64 {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(1, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

// --- Timelines.

/// The handle of a timeline: its number, which is never used again.
pub struct Timeline {
    id: u64,
}

impl Drop for Timeline {
    fn drop(&mut self) {
        let gone = state().timelines.remove(&self.id);
        drop(gone);
    }
}

struct Line {
    device: usize,
    value: u64,
    failure: Option<Failure>,
    /// (value, start, end) of the last 4,096 values signalled, ascending.
    stamps: VecDeque<(u64, u64, u64)>,
    callbacks: Vec<(u64, Callback, usize)>,
}

impl Line {
    fn event(&self, asked: u64) -> Event {
        let value = asked.min(self.value);
        let first = self.stamps.partition_point(|stamp| stamp.0 < value);
        let (start, end) = self.stamps.get(first).map_or((0, 0), |stamp| (stamp.1, stamp.2));
        let code = self.failure.as_ref().map_or(OK, |failure| failure.code);
        Event { code, value, clock: CLOCK_WALL, start_ns: start, end_ns: end, ..Event::zero() }
    }

    fn is_over(&self, value: u64) -> bool {
        self.value >= value || self.failure.is_some()
    }
}

/// A timeline as work names it.
#[derive(Clone, Copy)]
pub struct Mark {
    id: u64,
    value: u64,
}

/// Reaches a value, or fails, and calls back whoever waited for that.
fn change(id: u64, how: impl FnOnce(&mut Line) -> bool) {
    let mut state = state();
    if !state.timelines.get_mut(&id).is_some_and(how) {
        return;
    }
    CHANGED.notify_all();
    loop {
        let Some(line) = state.timelines.get_mut(&id) else { return };
        let Some(index) = line.callbacks.iter().position(|callback| line.is_over(callback.0)) else { return };
        let (value, function, user) = line.callbacks.swap_remove(index);
        let (event, device) = (line.event(value), line.device);
        if state.quiet.contains(&device) {
            continue;
        }
        *state.calling.entry(device).or_insert(0) += 1;
        drop(state);
        function(user as *mut c_void, &event);
        state = self::state();
        if let Some(count) = state.calling.get_mut(&device) {
            *count -= 1;
            if *count == 0 {
                state.calling.remove(&device);
            }
        }
        CHANGED.notify_all();
    }
}

fn reach(mark: Mark, start: u64, end: u64) {
    change(mark.id, |line| {
        if mark.value <= line.value || line.failure.is_some() {
            return false;
        }
        line.value = mark.value;
        line.stamps.push_back((mark.value, start, end));
        if line.stamps.len() > 4096 {
            line.stamps.pop_front();
        }
        true
    });
}

fn fail_line(id: u64, reason: &Failure) {
    change(id, |line| {
        let first = line.failure.is_none();
        line.failure.get_or_insert_with(|| reason.clone());
        first
    });
}

// --- Queues.

type Job = Box<dyn FnOnce(&Work) -> Outcome<()> + Send>;

/// Something queued, and what it waits for and signals.
pub struct Work {
    run: Option<Job>,
    waits: Vec<Mark>,
    signals: Vec<Mark>,
    layers: Option<Mark>,
    start: u64,
}

impl Work {
    /// The KV of the program's `count` first layers is complete.
    pub fn complete(&self, count: u32) {
        if let Some(base) = self.layers {
            reach(Mark { id: base.id, value: base.value + u64::from(count) }, self.start, now());
        }
    }

    fn end(&self, outcome: &Outcome<()>) {
        let end = now();
        if let (Err(failure), Some(layers)) = (outcome, self.layers) {
            fail_line(layers.id, failure);
        }
        for signal in &self.signals {
            match outcome {
                Ok(()) => reach(*signal, self.start, end),
                Err(failure) => fail_line(signal.id, failure),
            }
        }
    }
}

#[derive(Default)]
struct QueueState {
    works: VecDeque<Work>,
    /// Work that has not ended, the one that runs included.
    length: usize,
    stops: bool,
}

/// One thread that runs what was submitted, in order, each when its waits are reached.
pub struct Queue {
    id: u64,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    pub fn start(cancelled: Arc<AtomicBool>) -> Queue {
        let mut state = state();
        state.next += 1;
        let id = state.next;
        state.queues.insert(id, QueueState::default());
        Queue { id, thread: Some(std::thread::spawn(move || run_queue(id, &cancelled))) }
    }

    pub fn length(&self, state: &State) -> usize {
        state.queues.get(&self.id).map_or(0, |queue| queue.length)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(queue) = state().queues.get_mut(&self.id) {
            queue.stops = true;
        }
        CHANGED.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        state().queues.remove(&self.id);
    }
}

/// Whether the first work may begin, or why it never will; nothing while it has to wait.
fn first_due(state: &State, id: u64, cancelled: &AtomicBool) -> Option<Outcome<()>> {
    let work = state.queues.get(&id)?.works.front()?;
    if cancelled.load(Ordering::SeqCst) {
        return Some(failure(CANCELLED, "the device was quiesced before this work had begun"));
    }
    let mut due = true;
    for wait in &work.waits {
        let Some(line) = state.timelines.get(&wait.id) else { return Some(failure(ABORTED, "a timeline that this work waits for is gone")) };
        if let Some(why) = &line.failure {
            return Some(failure(ABORTED, format!("what this work waited for failed: {}", why.words)));
        }
        due = due && line.value >= wait.value;
    }
    due.then_some(Ok(()))
}

fn run_queue(id: u64, cancelled: &AtomicBool) {
    loop {
        let mut state = state();
        let verdict = loop {
            if let Some(verdict) = first_due(&state, id, cancelled) {
                break verdict;
            }
            if state.queues.get(&id).is_none_or(|queue| queue.stops && queue.works.is_empty()) {
                return;
            }
            state = wait_for_change(state);
        };
        let Some(mut work) = state.queues.get_mut(&id).and_then(|queue| queue.works.pop_front()) else { return };
        drop(state);
        work.start = now();
        let job = work.run.take();
        let outcome = verdict.and_then(|()| match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.map_or(Ok(()), |job| job(&work)))) {
            Ok(outcome) => outcome,
            Err(_) => failure(INTERNAL, "the driver met a defect of its own"),
        });
        work.end(&outcome);
        drop(work);
        if let Some(queue) = self::state().queues.get_mut(&id) {
            queue.length -= 1;
        }
        CHANGED.notify_all();
    }
}

impl Device {
    /// Queues work by `sync`, or does it at once without one.
    pub fn take(&self, sync: *const Sync, run: impl FnOnce(&Work) -> Outcome<()> + Send + 'static, now_without_sync: bool) -> Outcome<()> {
        let mut work = Work { run: None, waits: Vec::new(), signals: Vec::new(), layers: None, start: now() };
        if sync.is_null() && now_without_sync {
            return run(&work);
        }
        work.run = Some(Box::new(run));
        let mut number = 0;
        if !sync.is_null() {
            let sync = crate::contract::take(sync, Sync::zero(), std::mem::offset_of!(Sync, layer_timeline), "the sync")?;
            work.waits = marks(sync.waits, sync.wait_count);
            work.signals = marks(sync.signals, sync.signal_count);
            work.layers = (!sync.layer_timeline.is_null()).then(|| Mark { id: unsafe { (*sync.layer_timeline).id }, value: sync.layer_base });
            number = sync.queue as usize;
        }
        need!(number < self.queues.len(), "queue {number} of {}", self.queues.len());
        let mut state = state();
        if self.refuses.load(Ordering::SeqCst) {
            return failure(FAILED_PRECONDITION, "the device is quiesced and takes no more work");
        }
        let Some(queue) = state.queues.get_mut(&self.queues[number].id) else { return failure(INTERNAL, "a queue is gone") };
        if queue.length >= QUEUE_DEPTH {
            return failure(RESOURCE_EXHAUSTED, format!("the queue holds {QUEUE_DEPTH} submits; wait for one to end"));
        }
        queue.works.push_back(work);
        queue.length += 1;
        CHANGED.notify_all();
        Ok(())
    }
}

fn marks(points: *const Point, count: u32) -> Vec<Mark> {
    (0..count as usize).map(|index| unsafe { *points.add(index) }).map(|point| Mark { id: unsafe { (*point.timeline).id }, value: point.value }).collect()
}

// --- The table.

fn line<'a>(state: &'a mut State, timeline: TimelineRef) -> Outcome<&'a mut Line> {
    need!(!timeline.is_null(), "the timeline is null");
    match state.timelines.get_mut(&unsafe { (*timeline).id }) {
        Some(line) => Ok(line),
        None => failure(INVALID_ARGUMENT, "the timeline is gone"),
    }
}

fn answer(line: &Line, value: u64, out: *mut Event) -> Outcome<()> {
    if !out.is_null() {
        give(out, line.event(value))?;
    }
    line.failure.clone().map_or(Ok(()), Err)
}

extern "C" fn create(device: DeviceRef, value: u64, out: *mut TimelineRef, status: StatusRef) -> Code {
    guarded(status, || {
        let id = {
            let mut state = state();
            state.next += 1;
            let id = state.next;
            state.timelines.insert(id, Line { device: device as usize, value, failure: None, stamps: VecDeque::new(), callbacks: Vec::new() });
            id
        };
        unsafe { *out = (*device).keep(Timeline { id }) };
        Ok(())
    })
}

extern "C" fn release(device: DeviceRef, timeline: TimelineRef) {
    unsafe { &*device }.drop_object(timeline);
}

extern "C" fn query(_device: DeviceRef, timeline: TimelineRef, value: u64, out: *mut Event, status: StatusRef) -> Code {
    guarded(status, || answer(line(&mut state(), timeline)?, value, out))
}

extern "C" fn wait(_device: DeviceRef, timeline: TimelineRef, value: u64, timeout_ns: u64, out: *mut Event, status: StatusRef) -> Code {
    guarded(status, || {
        let deadline = Instant::now().checked_add(Duration::from_nanos(timeout_ns.min(1 << 60)));
        let mut state = state();
        loop {
            let line = line(&mut state, timeline)?;
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if line.is_over(value) || left.is_zero() {
                answer(line, value, out)?;
                if line.is_over(value) {
                    return Ok(());
                }
                return failure(DEADLINE_EXCEEDED, format!("after {timeout_ns} ns a timeline is at {}, and {value} was waited for", line.value));
            }
            state = CHANGED.wait_timeout(state, left).unwrap_or_else(|broken| broken.into_inner()).0;
        }
    })
}

extern "C" fn signal(_device: DeviceRef, timeline: TimelineRef, value: u64, status: StatusRef) -> Code {
    guarded(status, || {
        let present = line(&mut state(), timeline)?.value;
        need!(value > present, "signal of {value} to a timeline at {present}; it only rises");
        let time = now();
        reach(Mark { id: unsafe { (*timeline).id }, value }, time, time);
        Ok(())
    })
}

extern "C" fn fail(_device: DeviceRef, timeline: TimelineRef, reason: *const Status, status: StatusRef) -> Code {
    guarded(status, || {
        let given = crate::contract::take(reason, Status::zero(), std::mem::offset_of!(Status, vendor_code), "the reason")?;
        need!(given.code != OK, "a timeline cannot fail with OK; give the reason's code");
        let length = (given.message_length as usize).min(given.message.len());
        let words = String::from_utf8_lossy(&given.message[..length]).into_owned();
        fail_line(unsafe { (*timeline).id }, &Failure { code: given.code, words });
        Ok(())
    })
}

extern "C" fn notify(_device: DeviceRef, timeline: TimelineRef, value: u64, callback: Callback, user: *mut c_void, status: StatusRef) -> Code {
    guarded(status, || {
        line(&mut state(), timeline)?.callbacks.push((value, callback, user as usize));
        change(unsafe { (*timeline).id }, |_| true);
        Ok(())
    })
}

pub static TABLE: Shared<TimelineTable> = Shared(TimelineTable {
    size: std::mem::size_of::<TimelineTable>() as u32,
    reserved: 0,
    create: Some(create),
    release: Some(release),
    query: Some(query),
    wait: Some(wait),
    signal: Some(signal),
    fail: Some(fail),
    notify: Some(notify),
});
