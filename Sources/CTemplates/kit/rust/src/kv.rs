//! Step 5: pools of KV blocks, and moving KV in and out of them in a stated layout.
use crate::buffer::{reach, read_memory, Aligned, Reached};
use crate::contract::*;
use crate::need;
use crate::device::Charge;
use crate::operations::{decode, dtype_bytes, encode};

const LAYER: usize = 1;
const BLOCK: usize = 2;
const PLANE: usize = 3;
const HEAD: usize = 4;
const TOKEN: usize = 5;
const DIM: usize = 6;
/// Own storage first, which asks for no work but the copy; then a plain order that every device can talk to.
const STORAGE: [u8; 8] = [2, 1, 3, 4, 5, 6, 0, 0];
const PLAIN: [u8; 8] = [1, 3, 2, 5, 4, 6, 0, 0];

/// Storage: [block][layer][plane][head][token][dim].
pub struct Pool {
    pub desc: PoolDesc,
    base: *mut u8,
    bytes: u64,
    _own: Option<(Aligned, Charge)>,
}
unsafe impl Send for Pool {}

impl Pool {
    /// Where a row of head_dim elements lies. `layer` is counted in the whole model.
    pub fn row(&self, layer: u32, block: u32, plane: usize, head: usize, token: usize) -> *mut u8 {
        let d = &self.desc;
        let layer = (layer - d.first_layer) as usize;
        let row = (((block as usize * d.layers as usize + layer) * 2 + plane) * d.kv_heads as usize + head) * d.block_tokens as usize + token;
        unsafe { self.base.add(row * d.head_dim as usize * dtype_bytes(d.dtype)) }
    }
}

fn is_kv_dtype(dtype: u32) -> bool {
    [F32, F16, BF16].contains(&dtype)
}

fn read_desc(desc: *const PoolDesc) -> Outcome<PoolDesc> {
    let d = take(desc, PoolDesc::zero(), std::mem::offset_of!(PoolDesc, reserved), "a pool's description")?;
    need!(is_kv_dtype(d.dtype), "a pool in dtype {}; f32, f16 and bf16 are held", d.dtype);
    let sound = [d.block_count, d.block_tokens, d.layers, d.kv_heads, d.head_dim].iter().all(|count| *count > 0) && d.block_tokens <= 4096;
    need!(
        sound, "a pool of {} blocks of {} tokens, {} layers, {} heads of {}; each is 1 or more", d.block_count, d.block_tokens, d.layers, d.kv_heads, d.head_dim
    );
    Ok(d)
}

/// Bytes of so many layers and blocks; u64::MAX when there are too many to count.
fn kv_bytes(d: &PoolDesc, dtype: u32, layers: u32, blocks: u32) -> u64 {
    let factors = [layers, blocks, d.kv_heads, d.block_tokens, d.head_dim];
    factors.iter().try_fold(2 * dtype_bytes(dtype) as u64, |total, factor| total.checked_mul(u64::from(*factor))).unwrap_or(u64::MAX)
}

fn layout_of(d: &PoolDesc, dtype: u32, axes: [u8; 8]) -> Layout {
    Layout {
        dtype,
        axes,
        block_tokens: d.block_tokens,
        kv_heads: d.kv_heads,
        head_dim: d.head_dim,
        layers: d.layers,
        rope_applied: 1,
        rope_style: d.rope_style,
        ..Layout::zero()
    }
}

extern "C" fn layouts(
    _options: *const Options, desc: *const PoolDesc, _importing: u32, out: *mut Layout, capacity: u32, count: *mut u32, status: StatusRef,
) -> Code {
    guarded(status, || {
        let d = read_desc(desc)?;
        let mut all = vec![layout_of(&d, d.dtype, STORAGE)];
        all.extend([F32, F16, BF16].iter().filter(|dtype| **dtype != d.dtype).map(|dtype| layout_of(&d, *dtype, STORAGE)));
        all.push(layout_of(&d, F16, PLAIN));
        let stated = if capacity > 0 { unsafe { (*out).size } } else { 0 };
        let stride = if stated > 0 { stated as usize } else { std::mem::size_of::<Layout>() };
        for (index, layout) in all.iter().take(capacity as usize).enumerate() {
            let place = unsafe { (out as *mut u8).add(index * stride) } as *mut Layout;
            unsafe { (*place).size = stride as u32 };
            give(place, *layout)?;
        }
        unsafe { *count = all.len() as u32 };
        Ok(())
    })
}

extern "C" fn create(device: DeviceRef, desc: *const PoolDesc, out: *mut PoolRef, status: StatusRef) -> Code {
    guarded(status, || {
        let d = read_desc(desc)?;
        let device = unsafe { &*device };
        let bytes = kv_bytes(&d, d.dtype, d.layers, d.block_count);
        let charge = device.charge(bytes, "a KV pool")?;
        let memory = Aligned::new(bytes)?;
        unsafe { *out = device.keep(Pool { desc: d, base: memory.base, bytes, _own: Some((memory, charge)) }) };
        Ok(())
    })
}

extern "C" fn release(device: DeviceRef, pool: PoolRef) {
    unsafe { &*device }.drop_object(pool);
}

extern "C" fn share(_device: DeviceRef, pool: PoolRef, kind: i32, memory: *mut Memory, layout: *mut Layout, status: StatusRef) -> Code {
    guarded(status, || {
        if kind != MEMORY_HOST {
            return failure(UNIMPLEMENTED, format!("a pool is named as HOST memory only, not kind {kind}"));
        }
        let pool = unsafe { &*pool };
        give(memory, Memory { kind, address: pool.base as u64, descriptor: -1, length: pool.bytes, ..Memory::zero() })?;
        give(layout, layout_of(&pool.desc, pool.desc.dtype, STORAGE))
    })
}

fn read_layout(layout: *const Layout) -> Outcome<Layout> {
    take(layout, Layout::zero(), std::mem::offset_of!(Layout, reserved), "a layout")
}

extern "C" fn adopt(
    device: DeviceRef, desc: *const PoolDesc, memory: *const Memory, layout: *const Layout, out: *mut PoolRef, status: StatusRef,
) -> Code {
    guarded(status, || {
        let (d, memory, layout) = (read_desc(desc)?, read_memory(memory)?, read_layout(layout)?);
        let own = layout_of(&d, d.dtype, STORAGE);
        let same = (layout.dtype, layout.axes, layout.block_tokens, layout.kv_heads, layout.head_dim, layout.layers, layout.rope_applied, layout.rope_style, layout.scale_mode)
            == (own.dtype, own.axes, own.block_tokens, own.kv_heads, own.head_dim, own.layers, own.rope_applied, own.rope_style, own.scale_mode);
        if memory.kind != MEMORY_HOST || memory.address == 0 || !same {
            return failure(UNIMPLEMENTED, "only HOST memory in this driver's own layout is adopted; export and import instead");
        }
        let bytes = kv_bytes(&d, d.dtype, d.layers, d.block_count);
        if memory.length < bytes {
            return failure(OUT_OF_RANGE, format!("a pool of {bytes} bytes over {} that are shared", memory.length));
        }
        unsafe { *out = (*device).keep(Pool { desc: d, base: (memory.address + memory.offset) as *mut u8, bytes, _own: None }) };
        Ok(())
    })
}

// --- Moving ranges.

struct Move {
    pool: PoolRef,
    exporting: bool,
    first_layer: u32,
    layer_count: u32,
    token_count: usize,
    blocks: Vec<u32>,
    dtype: u32,
    /// How far apart the elements of an axis are.
    steps: [usize; 7],
    memory: Reached,
}
unsafe impl Send for Move {}

impl Move {
    fn run(&self) {
        let pool = unsafe { &*self.pool };
        let (heads, tokens) = (pool.desc.kv_heads as usize, pool.desc.block_tokens as usize);
        for layer in 0..self.layer_count {
            for (index, block) in self.blocks.iter().enumerate() {
                for unit in 0..2 * heads * tokens {
                    let (plane, head, token) = (unit / (heads * tokens), unit / tokens % heads, unit % tokens);
                    let s = &self.steps;
                    let at = layer as usize * s[LAYER] + index * s[BLOCK] + plane * s[PLANE] + head * s[HEAD] + token * s[TOKEN];
                    let stored = pool.row(self.first_layer + layer, *block, plane, head, token);
                    self.row(pool, stored, at, index * tokens + token < self.token_count);
                }
            }
        }
    }

    /// One row of head_dim elements.
    fn row(&self, pool: &Pool, stored: *mut u8, at: usize, counts: bool) {
        let (width, own) = (dtype_bytes(self.dtype), dtype_bytes(pool.desc.dtype));
        for i in 0..pool.desc.head_dim as usize {
            let (here, there) = unsafe { (stored.add(i * own), self.memory.base.add((at + i * self.steps[DIM]) * width)) };
            let mut value = [0.0];
            if self.exporting {
                if counts {
                    decode(pool.desc.dtype, here, &mut value);
                }
                encode(self.dtype, &value, there);
            } else if counts {
                decode(self.dtype, there, &mut value);
                encode(pool.desc.dtype, &value, here);
            }
        }
    }
}

fn check_layout(d: &PoolDesc, layout: &Layout) -> Outcome<()> {
    let seen = layout.axes[..6].iter().fold(0u32, |seen, axis| seen | 1u32.checked_shl(u32::from(*axis)).unwrap_or(0));
    need!(seen == 0x7E, "a layout has each of the six axes once");
    need!(
        (layout.block_tokens, layout.kv_heads, layout.head_dim) == (d.block_tokens, d.kv_heads, d.head_dim),
        "a layout of {} tokens a block, {} heads of {} for a pool of {}, {} of {}", layout.block_tokens, layout.kv_heads, layout.head_dim, d.block_tokens, d.kv_heads, d.head_dim
    );
    if is_kv_dtype(layout.dtype) && layout.scale_mode == 0 && layout.rope_applied == 1 && layout.rope_style == d.rope_style {
        return Ok(());
    }
    failure(UNIMPLEMENTED, "KV is exchanged as f32, f16 or bf16 without scales, K after rope as the pool has it")
}

fn move_range(
    device: DeviceRef, pool: PoolRef, range: *const Range, layout: *const Layout, memory: *const Memory, sync: *const Sync, exporting: bool,
) -> Outcome<()> {
    let d = unsafe { (*pool).desc };
    let range = take(range, Range::zero(), std::mem::offset_of!(Range, reserved), "a range")?;
    let inside = range.first_layer >= d.first_layer && range.layer_count <= d.layers && range.first_layer - d.first_layer <= d.layers - range.layer_count;
    need!(inside, "{} layers from {} of a pool of {} from {}", range.layer_count, range.first_layer, d.layers, d.first_layer);
    let blocks = numbers(range.blocks, range.block_count as usize);
    if let Some(block) = blocks.iter().find(|block| **block >= d.block_count) {
        return failure(INVALID_ARGUMENT, format!("block {block} of a pool of {}", d.block_count));
    }
    let layout = read_layout(layout)?;
    check_layout(&d, &layout)?;
    let memory = read_memory(memory)?;
    let needed = kv_bytes(&d, layout.dtype, range.layer_count, range.block_count);
    if memory.length < needed {
        return failure(OUT_OF_RANGE, format!("the range takes {needed} bytes and the memory has {}", memory.length));
    }
    let extents = [1, range.layer_count as usize, blocks.len(), 2, d.kv_heads as usize, d.block_tokens as usize, d.head_dim as usize];
    let (mut steps, mut step) = ([0; 7], 1);
    for axis in layout.axes[..6].iter().rev() {
        steps[*axis as usize] = step;
        step *= extents[*axis as usize];
    }
    let work = Move {
        pool,
        exporting,
        first_layer: range.first_layer,
        layer_count: range.layer_count,
        token_count: range.token_count as usize,
        blocks,
        dtype: layout.dtype,
        steps,
        memory: reach(&memory, exporting)?,
    };
    let run = move |_: &crate::timeline::Work| {
        let work = work;
        work.run();
        Ok(())
    };
    unsafe { &*device }.take(sync, run, true)
}

extern "C" fn export_range(
    device: DeviceRef, pool: PoolRef, range: *const Range, layout: *const Layout, memory: *const Memory, sync: *const Sync, status: StatusRef,
) -> Code {
    guarded(status, || move_range(device, pool, range, layout, memory, sync, true))
}

extern "C" fn import_range(
    device: DeviceRef, pool: PoolRef, range: *const Range, layout: *const Layout, memory: *const Memory, sync: *const Sync, status: StatusRef,
) -> Code {
    guarded(status, || move_range(device, pool, range, layout, memory, sync, false))
}

extern "C" fn copy_blocks(device: DeviceRef, pool: PoolRef, from: *const u32, to: *const u32, count: u32, sync: *const Sync, status: StatusRef) -> Code {
    guarded(status, || {
        let held = unsafe { &*pool };
        let pairs: Vec<(u32, u32)> = numbers(from, count as usize).into_iter().zip(numbers(to, count as usize)).collect();
        if let Some((from, to)) = pairs.iter().find(|(from, to)| *from >= held.desc.block_count || *to >= held.desc.block_count) {
            return failure(INVALID_ARGUMENT, format!("block {from} to {to} of a pool of {}", held.desc.block_count));
        }
        let (base, block) = (crate::buffer::Place(held.base), (held.bytes / u64::from(held.desc.block_count)) as usize);
        let run = move |_: &crate::timeline::Work| {
            for (from, to) in &pairs {
                let base = base.get();
                unsafe { std::ptr::copy(base.add(*from as usize * block), base.add(*to as usize * block), block) };
            }
            Ok(())
        };
        unsafe { &*device }.take(sync, run, true)
    })
}

pub static TABLE: Shared<KVTable> = Shared(KVTable {
    size: std::mem::size_of::<KVTable>() as u32,
    reserved: 0,
    layouts: Some(layouts),
    create: Some(create),
    release: Some(release),
    share: Some(share),
    adopt: Some(adopt),
    export_range: Some(export_range),
    import_range: Some(import_range),
    copy_blocks: Some(copy_blocks),
});
