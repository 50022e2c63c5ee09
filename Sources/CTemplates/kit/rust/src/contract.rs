//! The contract of include/baton, as Rust sees it: what this driver uses of it, in the order of the headers. Sizes and order are the headers'.
#![allow(dead_code)]

use std::ffi::c_void;

pub type Code = i32;
pub const OK: Code = 0;
pub const CANCELLED: Code = 1;
pub const INVALID_ARGUMENT: Code = 3;
pub const DEADLINE_EXCEEDED: Code = 4;
pub const PERMISSION_DENIED: Code = 7;
pub const RESOURCE_EXHAUSTED: Code = 8;
pub const FAILED_PRECONDITION: Code = 9;
pub const ABORTED: Code = 10;
pub const OUT_OF_RANGE: Code = 11;
pub const UNIMPLEMENTED: Code = 12;
pub const INTERNAL: Code = 13;

/// The contract these declarations were written after.
pub const MAJOR: u32 = 1;
pub const MINOR: u32 = 1;

pub const F32: u32 = 1;
pub const F16: u32 = 2;
pub const BF16: u32 = 3;
pub const Q4_0: u32 = 16;
pub const Q4_1: u32 = 17;
pub const Q8_0: u32 = 18;
pub const CLOCK_WALL: i32 = 1;
pub const MEMORY_HOST: i32 = 1;
pub const MEMORY_MEMFD: i32 = 2;
pub const ACCESS_WRITE: u32 = 2;
pub const DIM_TOKENS: i64 = -1;
pub const DIM_ROWS: i64 = -2;
pub const WEIGHT: i32 = 1;
pub const ACTIVATION: i32 = 2;
pub const INPUT: i32 = 3;
pub const OUTPUT: i32 = 4;

/// A struct that begins with its size, in bytes, written by whoever fills it.
pub trait Sized32: Copy {
    fn size(&self) -> u32;
    fn set_size(&mut self, size: u32);
}

/// Declares structs of the contract, zeroed by `zero`, whose size can be asked and set.
macro_rules! structs {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $($(#[$meta])* #[repr(C)] #[derive(Clone, Copy)] pub struct $name { pub size: u32, $(pub $field: $type),* }
        impl $name {
            /// All zero, with its size.
            pub fn zero() -> Self {
                // Every field is a number, a pointer or an optional function: zero is a value of each.
                let mut value: Self = unsafe { std::mem::zeroed() };
                value.size = std::mem::size_of::<Self>() as u32;
                value
            }
        }
        impl Sized32 for $name {
            fn size(&self) -> u32 { self.size }
            fn set_size(&mut self, size: u32) { self.size = size }
        })*
    };
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    pub data: *const u8,
    pub length: u64,
}

impl Text {
    pub const fn of(text: &'static str) -> Text {
        Text { data: text.as_ptr(), length: text.len() as u64 }
    }

    /// What it says, at most 200 bytes of it.
    pub fn read(&self) -> String {
        if self.data.is_null() || self.length == 0 {
            return String::new();
        }
        let bytes = unsafe { std::slice::from_raw_parts(self.data, self.length.min(200) as usize) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Opt {
    pub key: Text,
    pub value: Text,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Point {
    pub timeline: *mut crate::timeline::Timeline,
    pub value: u64,
}

pub type Body = extern "C" fn(*mut c_void, u64, u64, u32);
pub type Callback = extern "C" fn(*mut c_void, *const Event);
pub type DeviceRef = *mut crate::device::Device;
pub type BufferRef = *mut crate::buffer::Buffer;
pub type TimelineRef = *mut crate::timeline::Timeline;
pub type PoolRef = *mut crate::kv::Pool;
pub type ProgramRef = *mut crate::program::Program;
pub type StatusRef = *mut Status;
type F<T> = Option<T>;

structs! {
    Status { code: Code, vendor_code: i64, message_length: u32, message: [u8; 492] }
    Options { count: u32, items: *const Opt }
    Host {
        worker_count: u32, abi_min: Version, abi_max: Version, context: *mut c_void,
        log: F<extern "C" fn(*mut c_void, i32, Text)>,
        parallel_for: F<extern "C" fn(*mut c_void, u64, u64, Body, *mut c_void) -> Code>,
        open_device: *const c_void, close_device: *const c_void, get_interface: *const c_void,
    }
    OptionInfo { kind: i32, name: Text, default_value: Text, choices: Text, unit: Text, help: Text, minimum: f64, maximum: f64 }
    Driver {
        option_count: u32, abi_min: Version, abi_max: Version, abi: Version, name: Text, version: Text, vendor: Text, options: *const OptionInfo,
        device: *const DeviceTable, buffer: *const BufferTable, program: *const ProgramTable, timeline: *const TimelineTable,
        get_interface: F<extern "C" fn(Text, u32) -> *const c_void>,
        describe: F<extern "C" fn(*const Options, *mut Info, StatusRef) -> Code>,
    }
    Info {
        engine: i32, name: Text, vendor: Text, memory_bytes: u64, weight_dtypes: u64, compute_dtypes: u64, kv_dtypes: u64, resident_dtype: u32, kv_dtype: u32,
        shape_rule: i32, bucket_count: u32, buckets: *const u32, max_batch_tokens: u32, max_batch_sequences: u32, max_context: u32, kv_block_tokens: u32,
        queue_count: u32, queue_depth: u32, unit_count: u32, clock: i32,
    }
    DeviceTable {
        reserved: u32,
        open: F<extern "C" fn(*const Options, *mut DeviceRef, StatusRef) -> Code>,
        info: F<extern "C" fn(DeviceRef, *mut Info, StatusRef) -> Code>,
        health: F<extern "C" fn(DeviceRef, StatusRef) -> Code>,
        quiesce: F<extern "C" fn(DeviceRef, u64, StatusRef) -> Code>,
        close: F<extern "C" fn(DeviceRef)>,
    }
    Memory { kind: i32, address: u64, descriptor: i64, key: u64, offset: u64, length: u64 }
    BufferTable {
        reserved: u32,
        allocate: F<extern "C" fn(DeviceRef, u64, *mut BufferRef, StatusRef) -> Code>,
        import_memory: F<extern "C" fn(DeviceRef, *const Memory, u32, *mut BufferRef, StatusRef) -> Code>,
        export_memory: F<extern "C" fn(DeviceRef, BufferRef, i32, *mut Memory, StatusRef) -> Code>,
        release: F<extern "C" fn(DeviceRef, BufferRef)>,
        write: F<extern "C" fn(DeviceRef, BufferRef, u64, *const u8, u64, StatusRef) -> Code>,
        read: F<extern "C" fn(DeviceRef, BufferRef, u64, *mut u8, u64, StatusRef) -> Code>,
        map: F<extern "C" fn(DeviceRef, BufferRef, u32, *mut *mut u8, StatusRef) -> Code>,
        unmap: F<extern "C" fn(DeviceRef, BufferRef)>,
        copy: F<extern "C" fn(DeviceRef, BufferRef, u64, DeviceRef, BufferRef, u64, u64, *const Sync, StatusRef) -> Code>,
    }
    Sync { wait_count: u32, waits: *const Point, signals: *const Point, signal_count: u32, queue: u32, layer_timeline: TimelineRef, layer_base: u64 }
    Event { code: Code, value: u64, clock: i32, reserved: u32, start_ns: u64, end_ns: u64 }
    TimelineTable {
        reserved: u32,
        create: F<extern "C" fn(DeviceRef, u64, *mut TimelineRef, StatusRef) -> Code>,
        release: F<extern "C" fn(DeviceRef, TimelineRef)>,
        query: F<extern "C" fn(DeviceRef, TimelineRef, u64, *mut Event, StatusRef) -> Code>,
        wait: F<extern "C" fn(DeviceRef, TimelineRef, u64, u64, *mut Event, StatusRef) -> Code>,
        signal: F<extern "C" fn(DeviceRef, TimelineRef, u64, StatusRef) -> Code>,
        fail: F<extern "C" fn(DeviceRef, TimelineRef, *const Status, StatusRef) -> Code>,
        notify: F<extern "C" fn(DeviceRef, TimelineRef, u64, Callback, *mut c_void, StatusRef) -> Code>,
    }
    Tensor { role: i32, name: Text, dtype: u32, rank: u32, dims: [i64; 4], buffer: BufferRef, offset: u64 }
    Op {
        kind: u32, layer: i32, input_count: u32, inputs: [u32; 4], output: u32, heads: u32, kv_heads: u32, head_dim: u32, rope_dims: u32, rope_style: i32,
        rope_base: f32, rope_scale: f32, epsilon: f32, scale: f32, cap: f32, window: u32,
    }
    ProgramDesc {
        tensor_count: u32, tensors: *const Tensor, ops: *const Op, op_count: u32, first_layer: u32, layer_count: u32, kv_heads: u32, head_dim: u32, max_tokens: u32,
        max_sequences: u32, max_context: u32, progress: F<extern "C" fn(*mut c_void, f64)>, progress_user: *mut c_void,
    }
    ProgramInfo { bucket_count: u32, buckets: *const u32, weight_bytes: u64, workspace_bytes: u64 }
    Binding { tensor: u32, buffer: BufferRef, offset: u64 }
    Batch {
        token_count: u32, sequence_count: u32, row_count: u32, tokens: *const u32, positions: *const u32, sequences: *const u32, block_tables: *const u32,
        rows: *const u32, block_table_stride: u32, binding_count: u32, bindings: *const Binding, pool: PoolRef, tag: u64,
    }
    ProgramTable {
        reserved: u32,
        compile: F<extern "C" fn(DeviceRef, *const ProgramDesc, *mut ProgramRef, StatusRef) -> Code>,
        info: F<extern "C" fn(DeviceRef, ProgramRef, *mut ProgramInfo, StatusRef) -> Code>,
        release: F<extern "C" fn(DeviceRef, ProgramRef)>,
        submit: F<extern "C" fn(DeviceRef, ProgramRef, *const Batch, *const Sync, StatusRef) -> Code>,
    }
    Layout {
        dtype: u32, axes: [u8; 8], block_tokens: u32, kv_heads: u32, head_dim: u32, layers: u32, rope_applied: u32, rope_style: i32, scale_mode: u32, reserved: u32,
    }
    PoolDesc {
        dtype: u32, block_count: u32, block_tokens: u32, first_layer: u32, layers: u32, kv_heads: u32, head_dim: u32, rope_style: i32, reserved: u32,
    }
    Range { first_layer: u32, layer_count: u32, block_count: u32, blocks: *const u32, token_count: u32, reserved: u32 }
    KVTable {
        reserved: u32,
        layouts: F<extern "C" fn(*const Options, *const PoolDesc, u32, *mut Layout, u32, *mut u32, StatusRef) -> Code>,
        create: F<extern "C" fn(DeviceRef, *const PoolDesc, *mut PoolRef, StatusRef) -> Code>,
        release: F<extern "C" fn(DeviceRef, PoolRef)>,
        share: F<extern "C" fn(DeviceRef, PoolRef, i32, *mut Memory, *mut Layout, StatusRef) -> Code>,
        adopt: F<extern "C" fn(DeviceRef, *const PoolDesc, *const Memory, *const Layout, *mut PoolRef, StatusRef) -> Code>,
        export_range: F<extern "C" fn(DeviceRef, PoolRef, *const Range, *const Layout, *const Memory, *const Sync, StatusRef) -> Code>,
        import_range: F<extern "C" fn(DeviceRef, PoolRef, *const Range, *const Layout, *const Memory, *const Sync, StatusRef) -> Code>,
        copy_blocks: F<extern "C" fn(DeviceRef, PoolRef, *const u32, *const u32, u32, *const Sync, StatusRef) -> Code>,
    }
    WorkShape { kind: i32, token_count: u32, sequence_count: u32, context_tokens: u64, row_count: u32, piece_count: u32, bytes: u64 }
    Cost { clock: i32, time_ns: u64, flops: u64, bytes: u64, padded: u64 }
    MemoryNeed { fits: u32, weight_bytes: u64, workspace_bytes: u64, kv_bytes: u64, available_bytes: u64 }
    CostTable {
        reserved: u32,
        estimate: F<extern "C" fn(*const Options, *const ProgramDesc, *const WorkShape, *mut Cost, StatusRef) -> Code>,
        memory: F<extern "C" fn(*const Options, *const ProgramDesc, u64, u32, *mut MemoryNeed, StatusRef) -> Code>,
    }
}

/// Tables and option lists are immutable once they are made.
#[repr(transparent)]
pub struct Shared<T>(pub T);
unsafe impl<T> std::marker::Sync for Shared<T> {}

/// A failure on its way to the caller's status.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: Code,
    pub words: String,
}
pub type Outcome<T> = Result<T, Failure>;

pub fn failure<T>(code: Code, words: impl Into<String>) -> Outcome<T> {
    Err(Failure { code, words: words.into() })
}

/// Throws INVALID_ARGUMENT with these words where a condition does not hold.
#[macro_export]
macro_rules! need {
    ($holds:expr, $($words:tt)*) => {
        if !($holds) { return $crate::contract::failure($crate::contract::INVALID_ARGUMENT, format!($($words)*)); }
    };
}

/// Writes a failure in the caller's status, which may be null or short, and gives its code.
pub fn refuse(status: StatusRef, failure: &Failure) -> Code {
    let needed = std::mem::offset_of!(Status, message) + 492;
    if status.is_null() || (unsafe { (*status).size } as usize) < needed {
        return failure.code;
    }
    let words = format!("{}: {}", crate::name::NAME, failure.words.replace('\n', " "));
    let length = words.len().min(492);
    let status = unsafe { &mut *status };
    status.message[..length].copy_from_slice(&words.as_bytes()[..length]);
    status.code = failure.code;
    status.vendor_code = 0;
    status.message_length = length as u32;
    failure.code
}

/// Does what a function of a table does. No panic leaves the library.
pub fn guarded(status: StatusRef, body: impl FnOnce() -> Outcome<()>) -> Code {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => OK,
        Ok(Err(failure)) => refuse(status, &failure),
        Err(_) => refuse(status, &Failure { code: INTERNAL, words: "the driver met a defect of its own".into() }),
    }
}

/// Reads a struct of the caller's: as much as both know, the rest zero. It has to reach `needed` bytes.
pub fn take<T: Sized32>(from: *const T, zero: T, needed: usize, what: &str) -> Outcome<T> {
    need!(!from.is_null() && unsafe { (*from).size() } as usize >= needed, "{what} needs a struct with its size");
    let mut value = zero;
    let count = (unsafe { (*from).size() } as usize).min(std::mem::size_of::<T>());
    unsafe { std::ptr::copy_nonoverlapping(from as *const u8, &mut value as *mut T as *mut u8, count) };
    Ok(value)
}

/// Hands over a struct: as much of it as the caller has room for, and says how much that is.
pub fn give<T: Sized32>(out: *mut T, mut value: T) -> Outcome<()> {
    need!(!out.is_null() && unsafe { (*out).size() } >= 4, "an answer needs a struct with its size");
    let written = (unsafe { (*out).size() } as usize).min(std::mem::size_of::<T>());
    value.set_size(written as u32);
    unsafe { std::ptr::copy_nonoverlapping(&value as *const T as *const u8, out as *mut u8, written) };
    Ok(())
}

/// The element of an array of structs that are as far apart as the first one says.
pub fn at<T: Sized32>(array: *const T, index: usize, zero: T, needed: usize, what: &str) -> Outcome<T> {
    let stride = unsafe { (*array).size() } as usize;
    let mut element = take(unsafe { (array as *const u8).add(index * stride) } as *const T, zero, 4, what)?;
    need!(stride >= needed, "{what} needs a struct with its size");
    element.set_size(stride as u32);
    Ok(element)
}

pub fn numbers(from: *const u32, count: usize) -> Vec<u32> {
    if from.is_null() || count == 0 {
        return Vec::new();
    }
    unsafe { std::slice::from_raw_parts(from, count) }.to_vec()
}
