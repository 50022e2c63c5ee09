//! Step 4: memory.
use crate::contract::*;
use crate::need;
use crate::device::Charge;
use std::ffi::c_void;

/// Host memory as the device's memory: its own, or imported as it is.
pub struct Buffer {
    pub base: *mut u8,
    pub length: u64,
    pub writable: bool,
    _memory: Keeper,
}
unsafe impl Send for Buffer {}

#[allow(dead_code)] // kept for what happens when they go
enum Keeper {
    Own(Aligned, Charge),
    Reached(Reached),
}

/// Zeroed bytes at a multiple of 64.
pub struct Aligned {
    pub base: *mut u8,
    layout: std::alloc::Layout,
}
unsafe impl Send for Aligned {}

impl Aligned {
    pub fn new(bytes: u64) -> Outcome<Aligned> {
        let layout = std::alloc::Layout::from_size_align(bytes.max(1) as usize, 64);
        let Ok(layout) = layout else { return failure(RESOURCE_EXHAUSTED, format!("no host memory of {bytes} bytes")) };
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        if base.is_null() {
            return failure(RESOURCE_EXHAUSTED, format!("no host memory of {bytes} bytes"));
        }
        Ok(Aligned { base, layout })
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        unsafe { std::alloc::dealloc(self.base, self.layout) };
    }
}

extern "C" {
    fn mmap(address: *mut c_void, length: usize, protection: i32, flags: i32, descriptor: i32, offset: i64) -> *mut c_void;
    fn munmap(address: *mut c_void, length: usize) -> i32;
}

/// A host pointer to named memory, there as long as this is.
pub struct Reached {
    pub base: *mut u8,
    mapping: Option<(usize, usize)>,
}
unsafe impl Send for Reached {}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some((address, length)) = self.mapping {
            unsafe { munmap(address as *mut c_void, length) };
        }
    }
}

pub fn read_memory(memory: *const Memory) -> Outcome<Memory> {
    let memory = take(memory, Memory::zero(), std::mem::size_of::<Memory>(), "memory")?;
    need!(memory.offset.checked_add(memory.length).is_some(), "memory whose offset and length overflow");
    Ok(memory)
}

pub fn reach(memory: &Memory, writable: bool) -> Outcome<Reached> {
    match memory.kind {
        MEMORY_HOST => {
            need!(memory.address != 0, "host memory at a null address");
            Ok(Reached { base: (memory.address + memory.offset) as *mut u8, mapping: None })
        }
        MEMORY_MEMFD => {
            let before = memory.offset % 4096; // pages are 4 KiB, or a multiple of it that offsets of weights keep to
            let length = (memory.length + before) as usize;
            let protection = if writable { 3 } else { 1 };
            let place = unsafe { mmap(std::ptr::null_mut(), length, protection, 1, memory.descriptor as i32, (memory.offset - before) as i64) };
            need!(place as isize != -1, "descriptor {} cannot be mapped", memory.descriptor);
            Ok(Reached { base: unsafe { (place as *mut u8).add(before as usize) }, mapping: Some((place as usize, length)) })
        }
        kind => failure(UNIMPLEMENTED, format!("memory of kind {kind}; HOST and MEMFD are reached")),
    }
}

fn check(buffer: &Buffer, offset: u64, length: u64, what: &str) -> Outcome<()> {
    if offset <= buffer.length && length <= buffer.length - offset {
        return Ok(());
    }
    failure(OUT_OF_RANGE, format!("{what} of {length} bytes at {offset} of a buffer of {}", buffer.length))
}

fn check_writable(buffer: &Buffer) -> Outcome<()> {
    if buffer.writable {
        return Ok(());
    }
    failure(PERMISSION_DENIED, "memory imported for reading is written to")
}

extern "C" fn allocate(device: DeviceRef, length: u64, out: *mut BufferRef, status: StatusRef) -> Code {
    guarded(status, || {
        need!(length > 0, "a buffer of 0 bytes; ask for 1 or more");
        let device = unsafe { &*device };
        let charge = device.charge(length, "a buffer")?;
        let memory = Aligned::new(length)?;
        unsafe { *out = device.keep(Buffer { base: memory.base, length, writable: true, _memory: Keeper::Own(memory, charge) }) };
        Ok(())
    })
}

extern "C" fn import_memory(device: DeviceRef, memory: *const Memory, access: u32, out: *mut BufferRef, status: StatusRef) -> Code {
    guarded(status, || {
        let memory = read_memory(memory)?;
        need!(memory.length > 0, "import of no memory; name 1 byte or more");
        let writable = access & ACCESS_WRITE != 0;
        let reached = reach(&memory, writable)?;
        unsafe { *out = (*device).keep(Buffer { base: reached.base, length: memory.length, writable, _memory: Keeper::Reached(reached) }) };
        Ok(())
    })
}

extern "C" fn export_memory(_device: DeviceRef, buffer: BufferRef, kind: i32, out: *mut Memory, status: StatusRef) -> Code {
    guarded(status, || {
        if kind != MEMORY_HOST {
            return failure(UNIMPLEMENTED, format!("a buffer is named as HOST memory only, not kind {kind}"));
        }
        let buffer = unsafe { &*buffer };
        give(out, Memory { kind, address: buffer.base as u64, descriptor: -1, length: buffer.length, ..Memory::zero() })
    })
}

extern "C" fn release(device: DeviceRef, buffer: BufferRef) {
    unsafe { &*device }.drop_object(buffer);
}

extern "C" fn write(_device: DeviceRef, buffer: BufferRef, offset: u64, source: *const u8, length: u64, status: StatusRef) -> Code {
    guarded(status, || {
        let buffer = unsafe { &*buffer };
        check(buffer, offset, length, "write")?;
        check_writable(buffer)?;
        unsafe { std::ptr::copy(source, buffer.base.add(offset as usize), length as usize) };
        Ok(())
    })
}

extern "C" fn read(_device: DeviceRef, buffer: BufferRef, offset: u64, destination: *mut u8, length: u64, status: StatusRef) -> Code {
    guarded(status, || {
        let buffer = unsafe { &*buffer };
        check(buffer, offset, length, "read")?;
        unsafe { std::ptr::copy(buffer.base.add(offset as usize), destination, length as usize) };
        Ok(())
    })
}

extern "C" fn map(_device: DeviceRef, buffer: BufferRef, access: u32, out: *mut *mut u8, status: StatusRef) -> Code {
    guarded(status, || {
        let buffer = unsafe { &*buffer };
        if access & ACCESS_WRITE != 0 {
            check_writable(buffer)?;
        }
        unsafe { *out = buffer.base };
        Ok(())
    })
}

extern "C" fn unmap(_device: DeviceRef, _buffer: BufferRef) {}

/// A pointer that work on a queue's thread uses; the caller keeps what it points to until then.
#[derive(Clone, Copy)]
pub struct Place(pub *mut u8);
unsafe impl Send for Place {}

impl Place {
    pub fn get(self) -> *mut u8 {
        self.0
    }
}

#[allow(clippy::too_many_arguments)]
extern "C" fn copy(
    to_device: DeviceRef, to: BufferRef, to_offset: u64, _from_device: DeviceRef, from: BufferRef, from_offset: u64, length: u64, sync: *const Sync, status: StatusRef,
) -> Code {
    guarded(status, || {
        let (to, from) = unsafe { (&*to, &*from) };
        check(to, to_offset, length, "copy")?;
        check(from, from_offset, length, "copy")?;
        check_writable(to)?;
        let (target, source) = unsafe { (Place(to.base.add(to_offset as usize)), Place(from.base.add(from_offset as usize))) };
        let run = move |_: &crate::timeline::Work| {
            unsafe { std::ptr::copy(source.get(), target.get(), length as usize) };
            Ok(())
        };
        unsafe { &*to_device }.take(sync, run, true)
    })
}

pub static TABLE: Shared<BufferTable> = Shared(BufferTable {
    size: std::mem::size_of::<BufferTable>() as u32,
    reserved: 0,
    allocate: Some(allocate),
    import_memory: Some(import_memory),
    export_memory: Some(export_memory),
    release: Some(release),
    write: Some(write),
    read: Some(read),
    map: Some(map),
    unmap: Some(unmap),
    copy: Some(copy),
});
