//! Step 7: what work would take, asked before anything is opened. Give the source of every figure of a real device beside the figure.
use crate::contract::*;
use crate::operations::{dtype_bytes, dtype_elements};
use crate::{need, read_options, MAX_SEQUENCES, MAX_TOKENS};

// Guesses for one core of a processor: the order of what this driver does, not a measurement.
const FLOPS_PER_SECOND: f64 = 4e9;
const BYTES_PER_SECOND: f64 = 2e9;
const LAUNCH_SECONDS: f64 = 20e-6;

/// What a program's weights hold, and its KV for a token.
struct Shape {
    weight_bytes: u64,
    weight_elements: u64,
    kv_elements: u64,
}

fn shape(desc: *const ProgramDesc) -> Outcome<Shape> {
    let desc = take(desc, ProgramDesc::zero(), std::mem::offset_of!(ProgramDesc, progress), "a program's description")?;
    need!(!desc.tensors.is_null(), "a cost needs the program's tensors");
    let mut shape = Shape { weight_bytes: 0, weight_elements: 0, kv_elements: 2 * u64::from(desc.layer_count) * u64::from(desc.kv_heads) * u64::from(desc.head_dim) };
    for index in 0..desc.tensor_count as usize {
        let tensor = at(desc.tensors, index, Tensor::zero(), std::mem::size_of::<Tensor>(), "a tensor")?;
        let per_block = dtype_elements(tensor.dtype) as u64;
        if tensor.role != WEIGHT || !(1..=2).contains(&tensor.rank) || per_block == 0 {
            continue;
        }
        let elements = tensor.dims[..tensor.rank as usize].iter().fold(1u64, |product, dim| product.saturating_mul((*dim).max(0) as u64));
        shape.weight_elements = shape.weight_elements.saturating_add(elements);
        shape.weight_bytes = shape.weight_bytes.saturating_add((elements / per_block).saturating_mul(dtype_bytes(tensor.dtype) as u64));
    }
    Ok(shape)
}

fn nanoseconds(seconds: f64) -> u64 {
    ((LAUNCH_SECONDS + seconds) * 1e9) as u64
}

extern "C" fn estimate(options: *const Options, desc: *const ProgramDesc, work: *const WorkShape, out: *mut Cost, status: StatusRef) -> Code {
    guarded(status, || {
        read_options(options)?;
        let shape = shape(desc)?;
        let work = take(work, WorkShape::zero(), std::mem::size_of::<WorkShape>(), "work")?;
        if work.kind != 1 {
            let bytes = work.bytes.saturating_mul(2);
            return give(out, Cost { clock: CLOCK_WALL, bytes, time_ns: nanoseconds(bytes as f64 / BYTES_PER_SECOND), ..Cost::zero() });
        }
        if work.token_count > MAX_TOKENS || work.sequence_count > MAX_SEQUENCES {
            let words = format!("{} tokens in {} sequences; {MAX_TOKENS} in {MAX_SEQUENCES} are the most", work.token_count, work.sequence_count);
            return failure(OUT_OF_RANGE, words);
        }
        let flops = 2 * (shape.weight_elements.saturating_mul(u64::from(work.token_count)) + shape.kv_elements.saturating_mul(work.context_tokens));
        let bytes = shape.weight_bytes + shape.kv_elements.saturating_mul(4).saturating_mul(work.context_tokens);
        let seconds = (flops as f64 / FLOPS_PER_SECOND).max(bytes as f64 / BYTES_PER_SECOND);
        give(out, Cost { clock: CLOCK_WALL, time_ns: nanoseconds(seconds), flops, bytes, padded: u64::from(work.token_count), ..Cost::zero() })
    })
}

extern "C" fn memory(options: *const Options, desc: *const ProgramDesc, kv_tokens: u64, kv_dtype: u32, out: *mut MemoryNeed, status: StatusRef) -> Code {
    guarded(status, || {
        let (available_bytes, shape) = (read_options(options)?.memory, shape(desc)?);
        let kv_bytes = shape.kv_elements.saturating_mul(dtype_bytes(kv_dtype) as u64).saturating_mul(kv_tokens);
        let fits = shape.weight_bytes.checked_add(kv_bytes).is_some_and(|sum| sum <= available_bytes);
        give(out, MemoryNeed { fits: u32::from(fits), weight_bytes: shape.weight_bytes, kv_bytes, available_bytes, ..MemoryNeed::zero() })
    })
}

pub static TABLE: Shared<CostTable> = Shared(CostTable {
    size: std::mem::size_of::<CostTable>() as u32,
    reserved: 0,
    estimate: Some(estimate),
    memory: Some(memory),
});
