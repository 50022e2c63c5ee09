//! Step 2: a device's life. open -> ... -> quiesce -> close
use crate::contract::*;
use crate::timeline::{state, Queue, State, CHANGED};
use crate::{info_of, read_options, Settings, QUEUES};
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Device {
    pub settings: Settings,
    /// Bytes of `settings.memory` given out.
    used: Arc<AtomicU64>,
    /// Takes no more work; what is left of accepted work fails.
    pub refuses: AtomicBool,
    pub cancelled: Arc<AtomicBool>,
    /// Everything made on the device, by its handle.
    objects: Mutex<HashMap<usize, Box<dyn Any + Send>>>,
    pub queues: Vec<Queue>,
}

/// Bytes of a device's memory, given back when it goes.
pub struct Charge {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Device {
    /// Keeps an object that goes with the device at the latest, and gives its handle.
    pub fn keep<T: Send + 'static>(&self, object: T) -> *mut T {
        let mut kept = Box::new(object);
        let handle: *mut T = &mut *kept;
        lock(&self.objects).insert(handle as usize, kept);
        handle
    }

    pub fn drop_object<T>(&self, handle: *mut T) {
        let gone = lock(&self.objects).remove(&(handle as usize));
        drop(gone); // outside the lock
    }

    pub fn charge(&self, bytes: u64, what: &str) -> Outcome<Charge> {
        let taken = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| used.checked_add(bytes).filter(|sum| *sum <= self.settings.memory));
        match taken {
            Ok(_) => Ok(Charge { used: self.used.clone(), bytes }),
            Err(used) => failure(RESOURCE_EXHAUSTED, format!("{what} takes {bytes} bytes and {} are free", self.settings.memory - used)),
        }
    }

    /// Waits until accepted work has ended; false when the time ran out and what was left has been cancelled.
    fn quiesce(&self, timeout_ns: u64) -> bool {
        self.refuses.store(true, Ordering::SeqCst);
        let deadline = Instant::now().checked_add(Duration::from_nanos(timeout_ns.min(1 << 60)));
        let busy = |state: &State| self.queues.iter().any(|queue| queue.length(state) > 0) || state.calling.get(&self.key()).copied().unwrap_or(0) > 0;
        let mut state = state();
        let mut idle = true;
        while busy(&state) && idle {
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            idle = !left.is_zero();
            state = CHANGED.wait_timeout(state, left.min(Duration::from_secs(3600))).unwrap_or_else(|broken| broken.into_inner()).0;
        }
        if busy(&state) {
            self.cancelled.store(true, Ordering::SeqCst);
            CHANGED.notify_all();
            while busy(&state) {
                state = CHANGED.wait(state).unwrap_or_else(|broken| broken.into_inner());
            }
        } else {
            idle = true;
        }
        state.quiet.insert(self.key());
        idle
    }

    pub fn key(&self) -> usize {
        self as *const Device as usize
    }
}

/// A lock whose holder may have panicked: what it guards is sound all the same.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|broken| broken.into_inner())
}

extern "C" fn open(options: *const Options, out: *mut DeviceRef, status: StatusRef) -> Code {
    guarded(status, || {
        let cancelled = Arc::new(AtomicBool::new(false));
        let device = Device {
            settings: read_options(options)?,
            used: Arc::new(AtomicU64::new(0)),
            refuses: AtomicBool::new(false),
            cancelled: cancelled.clone(),
            objects: Mutex::new(HashMap::new()),
            queues: (0..QUEUES).map(|_| Queue::start(cancelled.clone())).collect(),
        };
        let handle = Box::into_raw(Box::new(device));
        state().quiet.remove(&(handle as usize));
        unsafe { *out = handle };
        Ok(())
    })
}

extern "C" fn info(device: DeviceRef, out: *mut Info, status: StatusRef) -> Code {
    guarded(status, || give(out, info_of(unsafe { &(*device).settings })))
}

extern "C" fn health(_device: DeviceRef, _status: StatusRef) -> Code {
    OK
}

extern "C" fn quiesce(device: DeviceRef, timeout_ns: u64, status: StatusRef) -> Code {
    guarded(status, || match unsafe { &*device }.quiesce(timeout_ns) {
        true => Ok(()),
        false => failure(DEADLINE_EXCEEDED, format!("work was left after {timeout_ns} ns and has been cancelled")),
    })
}

extern "C" fn close(device: DeviceRef) {
    if device.is_null() {
        return;
    }
    guarded(std::ptr::null_mut(), || {
        let mut device = unsafe { Box::from_raw(device) };
        device.quiesce(0);
        device.queues.clear();
        let gone = std::mem::take(&mut *lock(&device.objects));
        drop(gone);
        let key = device.key();
        state().quiet.remove(&key);
        Ok(())
    });
}

pub static TABLE: Shared<DeviceTable> = Shared(DeviceTable {
    size: std::mem::size_of::<DeviceTable>() as u32,
    reserved: 0,
    open: Some(open),
    info: Some(info),
    health: Some(health),
    quiesce: Some(quiesce),
    close: Some(close),
});
