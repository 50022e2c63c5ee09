//! Step 1: the entry, options, describe. Each file is a step of the order in which a driver is written; `baton driver test` says how far you are.
//!   1 lib.rs, contract.rs  entry, describe, get_interface      5 kv.rs                      pools of KV, and moving it
//!   2 device.rs            open, info, health, quiesce, close  6 program.rs, operations.rs  graphs of operations, and running them
//!   3 timeline.rs          counters, and queued work           7 cost.rs                    what work would take
//!   4 buffer.rs            memory
mod buffer;
mod contract;
mod cost;
mod device;
mod kv;
mod name;
mod operations;
mod program;
mod timeline;

use contract::*;
use std::ffi::c_void;
use std::sync::OnceLock;

const OLDEST: Version = Version { major: MAJOR, minor: 0 };
const NEWEST: Version = Version { major: MAJOR, minor: MINOR };

pub const MAX_TOKENS: u32 = 512;
pub const MAX_SEQUENCES: u32 = 64;
pub const QUEUES: u32 = 2;
pub const QUEUE_DEPTH: usize = 64;

/// What include/baton/note.h says a library carries: the host reads it from the file before it loads it.
#[repr(C, align(4))]
struct Note {
    owner_size: u32,
    note_size: u32,
    kind: u32,
    owner: [u8; 8],
    size: u32,
    reserved: u32,
    abi_min: Version,
    abi_max: Version,
    name: [u8; 32],
    version: [u8; 32],
    build: [u8; 64],
}

const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let (mut out, bytes, mut i) = ([0; N], text.as_bytes(), 0);
    while i < bytes.len() {
        out[i] = bytes[i];
        i += 1;
    }
    out
}

#[used]
#[link_section = ".note.baton"]
static NOTE: Note = Note {
    owner_size: 6,
    note_size: 152,
    kind: 1,
    owner: padded("Baton"),
    size: 152,
    reserved: 0,
    abi_min: OLDEST,
    abi_max: NEWEST,
    name: padded(name::NAME),
    version: padded(name::VERSION),
    build: [0; 64],
};

static HOST: OnceLock<Shared<Host>> = OnceLock::new();
unsafe impl<T> Send for Shared<T> {}

/// Runs `body(begin, end)` over [0, count) on the host's workers.
pub fn parallel<B: Fn(usize, usize) + std::marker::Sync>(count: usize, grain: usize, body: B) {
    extern "C" fn piece<B: Fn(usize, usize)>(user: *mut c_void, begin: u64, end: u64, _worker: u32) {
        let body = unsafe { &*(user as *const B) };
        body(begin as usize, end as usize);
    }
    let user = &body as *const B as *mut c_void;
    let run = HOST.get().and_then(|host| host.0.parallel_for.map(|run| (run, host.0.context)));
    let done = run.map(|(run, context)| run(context, count as u64, grain as u64, piece::<B>, user)) == Some(OK);
    if !done {
        body(0, count);
    }
}

// --- Options.

#[derive(Clone, Copy)]
pub struct Settings {
    pub memory: u64,
    pub kv_dtype: u32,
}

static OPTIONS: Shared<[OptionInfo; 2]> = Shared([
    OptionInfo {
        size: std::mem::size_of::<OptionInfo>() as u32,
        kind: 1,
        name: Text::of("memory"),
        default_value: Text::of("4294967296"),
        choices: Text::of(""),
        unit: Text::of("bytes"),
        help: Text::of("Memory the device gives out; imported memory is not counted."),
        minimum: 1048576.0,
        maximum: 1e15,
    },
    OptionInfo {
        size: std::mem::size_of::<OptionInfo>() as u32,
        kind: 4,
        name: Text::of("kv_dtype"),
        default_value: Text::of("f32"),
        choices: Text::of("f32|f16|bf16"),
        unit: Text::of(""),
        help: Text::of("What KV is kept in when the host does not say."),
        minimum: 0.0,
        maximum: 0.0,
    },
]);

pub fn read_options(options: *const Options) -> Outcome<Settings> {
    let mut settings = Settings { memory: 4 << 30, kv_dtype: F32 };
    if options.is_null() || (unsafe { (*options).size } as usize) < std::mem::size_of::<Options>() {
        return Ok(settings);
    }
    for index in 0..unsafe { (*options).count } as usize {
        let item = unsafe { *(*options).items.add(index) };
        let (key, value) = (item.key.read(), item.value.read());
        match key.as_str() {
            "memory" => match value.parse::<u64>() {
                Ok(bytes) if (1 << 20..=1_000_000_000_000_000).contains(&bytes) => settings.memory = bytes,
                _ => return failure(INVALID_ARGUMENT, format!("memory is '{value}'; give bytes from 1048576")),
            },
            "kv_dtype" => {
                settings.kv_dtype = match value.as_str() {
                    "f32" => F32,
                    "f16" => F16,
                    "bf16" => BF16,
                    _ => return failure(INVALID_ARGUMENT, format!("kv_dtype is '{value}'; give f32, f16 or bf16")),
                }
            }
            _ => return failure(INVALID_ARGUMENT, format!("option '{key}' is not known; memory and kv_dtype are")),
        }
    }
    Ok(settings)
}

/// What the device is. Change it to what yours is.
pub fn info_of(settings: &Settings) -> Info {
    let bits = |dtypes: &[u32]| dtypes.iter().fold(0u64, |mask, dtype| mask | 1 << dtype);
    Info {
        engine: 3, // 1, silicon, once your device computes
        name: Text::of("Template"),
        vendor: Text::of("You"),
        memory_bytes: settings.memory,
        weight_dtypes: bits(&[F32, F16, BF16, Q4_0, Q4_1, Q8_0]),
        compute_dtypes: bits(&[F32]),
        kv_dtypes: bits(&[F32, F16, BF16]),
        kv_dtype: settings.kv_dtype,
        shape_rule: 1,
        max_batch_tokens: MAX_TOKENS,
        max_batch_sequences: MAX_SEQUENCES,
        kv_block_tokens: 16,
        queue_count: QUEUES,
        queue_depth: QUEUE_DEPTH as u32,
        unit_count: 1,
        clock: CLOCK_WALL,
        ..Info::zero()
    }
}

extern "C" fn describe(options: *const Options, out: *mut Info, status: StatusRef) -> Code {
    guarded(status, || give(out, info_of(&read_options(options)?)))
}

extern "C" fn get_interface(id: Text, version: u32) -> *const c_void {
    match (id.read().as_str(), version) {
        ("baton.kv", 1) => &kv::TABLE.0 as *const KVTable as *const c_void,
        ("baton.cost", 1) => &cost::TABLE.0 as *const CostTable as *const c_void,
        _ => std::ptr::null(),
    }
}

/// The one symbol. Pure: opens nothing, starts nothing.
#[no_mangle]
pub extern "C" fn baton_driver_entry(with: *const Host, out: *mut Driver) -> Code {
    if with.is_null() || out.is_null() {
        return INVALID_ARGUMENT;
    }
    let reaches = |size: u32, end: usize| size as usize >= end;
    let (host_size, room) = unsafe { ((*with).size, (*out).size) };
    if !reaches(host_size, std::mem::offset_of!(Host, context)) || !reaches(room, std::mem::offset_of!(Driver, name)) {
        return INVALID_ARGUMENT;
    }
    let Ok(host) = take(with, Host::zero(), 4, "the host") else { return INVALID_ARGUMENT };
    let mut driver = Driver { abi_min: OLDEST, abi_max: NEWEST, ..Driver::zero() };
    let chosen = host.abi_max.min(NEWEST);
    let agreed = chosen >= OLDEST && chosen >= host.abi_min;
    if agreed {
        let _ = HOST.set(Shared(host));
        driver.abi = chosen;
        driver.name = Text::of(name::NAME);
        driver.version = Text::of(name::VERSION);
        driver.vendor = Text::of("You");
        driver.options = OPTIONS.0.as_ptr();
        driver.option_count = OPTIONS.0.len() as u32;
        driver.device = &device::TABLE.0;
        driver.buffer = &buffer::TABLE.0;
        driver.program = &program::TABLE.0;
        driver.timeline = &timeline::TABLE.0;
        driver.get_interface = Some(get_interface);
        driver.describe = Some(describe);
    }
    match give(out, driver) {
        Err(failure) => failure.code,
        Ok(()) if agreed => OK,
        Ok(()) => FAILED_PRECONDITION,
    }
}
