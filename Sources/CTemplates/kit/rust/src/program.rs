//! Step 6, first part: proving a graph and a batch, and running the one over the other.
use crate::contract::*;
use crate::device::Device;
use crate::need;
use crate::operations::{dtype_bytes, dtype_elements, operate};
use crate::timeline::Work;
use crate::{MAX_SEQUENCES, MAX_TOKENS};
use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering;
use std::sync::Arc;

pub struct Tensor {
    pub role: i32,
    pub dtype: u32,
    pub rank: u32,
    /// A count, DIM_TOKENS or DIM_ROWS; 1 for rank 1.
    pub rows: i64,
    pub columns: usize,
    /// Of a weight.
    pub bytes: *const u8,
    /// Where an activation lies while it is needed.
    slot: Option<usize>,
    name: String,
}
// A weight's bytes are read alone, and outlive the program.
unsafe impl Send for Tensor {}
unsafe impl std::marker::Sync for Tensor {}

pub struct Graph {
    tensors: Vec<Tensor>,
    ops: Vec<Op>,
    pub first_layer: u32,
    layer_count: u32,
    kv_heads: u32,
    head_dim: u32,
    max_tokens: u32,
    max_sequences: u32,
    max_context: u32,
    /// The widest tensor that lies in each slot.
    slots: Vec<usize>,
    vocabulary: Option<u64>,
    attends: bool,
}

/// The handle of a compiled program.
pub struct Program {
    graph: Arc<Graph>,
}

// --- Tensors.

fn read_tensor(raw: &Tensor_) -> Outcome<Tensor> {
    let name = raw.name.read();
    need!((WEIGHT..=OUTPUT).contains(&raw.role), "'{name}' has role {}", raw.role);
    need!(raw.rank == 1 || raw.rank == 2, "'{name}' has rank {}; 1 or 2 is due", raw.rank);
    let rows = if raw.rank == 1 { 1 } else { raw.dims[0] };
    let columns = raw.dims[raw.rank as usize - 1];
    let is_dim = (rows > 0 && rows < 1 << 30) || rows == DIM_TOKENS || rows == DIM_ROWS;
    need!(is_dim && (1..1 << 24).contains(&columns), "'{name}' has {rows} rows of {columns}; each is 1 or more");
    let mut tensor = Tensor { role: raw.role, dtype: raw.dtype, rank: raw.rank, rows, columns: columns as usize, bytes: std::ptr::null(), slot: None, name };
    if raw.role == WEIGHT {
        tensor.bytes = weight_bytes(raw, &tensor)?;
    } else {
        need!(raw.dtype == F32, "'{}' is no weight and not in f32", tensor.name);
    }
    Ok(tensor)
}

type Tensor_ = crate::contract::Tensor;

fn weight_bytes(raw: &Tensor_, tensor: &Tensor) -> Outcome<*const u8> {
    let elements = dtype_elements(raw.dtype);
    if elements == 0 {
        return failure(UNIMPLEMENTED, format!("weight '{}' is in dtype {}, which this device does not take", tensor.name, raw.dtype));
    }
    need!(tensor.rows >= 1 && tensor.columns % elements == 0, "weight '{}' has {} rows of {}; rows are whole blocks of {elements}", tensor.name, tensor.rows, tensor.columns);
    need!(!raw.buffer.is_null(), "weight '{}' lies in no buffer", tensor.name);
    let buffer = unsafe { &*raw.buffer };
    let bytes = tensor.rows as u64 * (tensor.columns / elements * dtype_bytes(raw.dtype)) as u64;
    need!(
        raw.offset <= buffer.length && bytes <= buffer.length - raw.offset, "weight '{}' takes {bytes} bytes at {} of a buffer of {}", tensor.name, raw.offset, buffer.length
    );
    Ok(unsafe { buffer.base.add(raw.offset as usize) })
}

// --- Operations.

fn has_shape(tensor: &Tensor, rows: i64, columns: usize) -> bool {
    tensor.rank == 2 && tensor.rows == rows && tensor.columns == columns
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    (a.rank, a.rows, a.columns) == (b.rank, b.rows, b.columns)
}

fn is_weight(tensor: &Tensor, rank: u32, columns: usize) -> bool {
    tensor.role == WEIGHT && tensor.rank == rank && tensor.columns == columns
}

fn rope_fits(op: &Op, x: &Tensor, out: &Tensor) -> bool {
    op.heads > 0
        && has_shape(x, DIM_TOKENS, op.heads as usize * op.head_dim as usize)
        && same(x, out)
        && op.rope_dims > 0
        && op.rope_dims % 2 == 0
        && op.rope_dims <= op.head_dim
        && (op.rope_style == 1 || op.rope_style == 2)
        && op.rope_base > 0.0
        && op.rope_base.is_finite()
        && op.rope_scale.is_finite()
}

fn attention_fits(op: &Op, graph: &Graph, inputs: &[&Tensor], out: &Tensor) -> bool {
    let width = op.kv_heads as usize * op.head_dim as usize;
    op.kv_heads > 0
        && op.heads > 0
        && op.heads % op.kv_heads == 0
        && op.head_dim > 0
        && op.layer >= 0
        && (op.kv_heads, op.head_dim) == (graph.kv_heads, graph.head_dim)
        && has_shape(inputs[0], DIM_TOKENS, op.heads as usize * op.head_dim as usize)
        && inputs[1..].iter().all(|tensor| has_shape(tensor, DIM_TOKENS, width))
        && same(inputs[0], out)
        && op.scale.is_finite()
        && op.cap.is_finite()
        && op.cap >= 0.0
}

fn fits(op: &Op, graph: &Graph, inputs: &[&Tensor], out: &Tensor) -> bool {
    let x = inputs[0];
    if op.kind == 1 {
        return is_weight(x, 2, x.columns) && has_shape(out, DIM_TOKENS, x.columns);
    }
    x.role != WEIGHT
        && match op.kind {
            2 => is_weight(inputs[1], 1, x.columns) && same(x, out) && op.epsilon.is_finite() && op.epsilon >= 0.0,
            3 => {
                let outputs = inputs[1].rows;
                let bias = inputs.get(2).is_none_or(|bias| is_weight(bias, 1, outputs as usize));
                is_weight(inputs[1], 2, x.columns) && has_shape(out, x.rows, outputs as usize) && bias
            }
            4 => rope_fits(op, x, out),
            5 => attention_fits(op, graph, inputs, out),
            6 => same(x, inputs[1]) && same(x, out) && inputs[1].role != WEIGHT,
            7 | 8 => same(x, out) && (same(x, inputs[1]) || (inputs[1].rank == 1 && inputs[1].columns == x.columns)),
            9 => same(x, out) && op.scale.is_finite(),
            10 => same(x, out) && op.cap.is_finite() && op.cap > 0.0,
            _ => x.rows == DIM_TOKENS && has_shape(out, DIM_ROWS, x.columns),
        }
}

/// Indices, order, shapes, and that each activation is made once.
fn check_op(op: &Op, graph: &Graph, made: &mut [bool]) -> Outcome<()> {
    const FEWEST: [u32; 12] = [0, 1, 2, 2, 1, 3, 2, 2, 2, 1, 1, 1];
    const MOST: [u32; 12] = [0, 1, 2, 3, 1, 3, 2, 2, 2, 1, 1, 1];
    let kind = op.kind as usize;
    if kind == 0 || kind >= FEWEST.len() {
        return failure(UNIMPLEMENTED, format!("operation {kind} is not one this driver knows"));
    }
    need!((FEWEST[kind]..=MOST[kind]).contains(&op.input_count), "operation {kind} has {} inputs", op.input_count);
    let mut inputs = Vec::new();
    for index in &op.inputs[..op.input_count as usize] {
        need!((*index as usize) < graph.tensors.len(), "input {index} of {} tensors", graph.tensors.len());
        let tensor = &graph.tensors[*index as usize];
        need!(made[*index as usize], "'{}' is used before it is made", tensor.name);
        inputs.push(tensor);
    }
    let output = op.output as usize;
    need!(output < graph.tensors.len() && !made[output], "output {output} of {} tensors is none, or made already", graph.tensors.len());
    let inside = op.layer == -1 || (op.layer >= 0 && op.layer as u32 >= graph.first_layer && op.layer as u32 - graph.first_layer < graph.layer_count);
    need!(inside, "layer {} of {} from {}", op.layer, graph.layer_count, graph.first_layer);
    let out = &graph.tensors[output];
    need!(fits(op, graph, &inputs, out), "operation {kind} from '{}' to '{}' does not fit", inputs[0].name, out.name);
    made[output] = true;
    Ok(())
}

fn read_ops(desc: &ProgramDesc, graph: &mut Graph) -> Outcome<()> {
    let mut made: Vec<bool> = graph.tensors.iter().map(|tensor| tensor.role == WEIGHT || tensor.role == INPUT).collect();
    let mut last = -1;
    for index in 0..desc.op_count as usize {
        let op = at(desc.ops, index, Op::zero(), size_of::<Op>(), "an operation")?;
        check_op(&op, graph, &mut made)?;
        if op.kind == 5 {
            need!(op.layer > last, "layer {} attends after layer {last}; each attends once, in order", op.layer);
            last = op.layer;
            graph.attends = true;
        }
        if op.kind == 1 {
            let rows = graph.tensors[op.inputs[0] as usize].rows as u64;
            graph.vocabulary = Some(graph.vocabulary.map_or(rows, |least| least.min(rows)));
        }
        graph.ops.push(op);
    }
    for (tensor, made) in graph.tensors.iter().zip(made) {
        need!(made || tensor.role != OUTPUT, "output '{}' is made by no operation", tensor.name);
    }
    Ok(())
}

/// Activations that are not needed at the same time share memory.
fn plan_slots(graph: &mut Graph) {
    let mut last_use = vec![0; graph.tensors.len()];
    for (index, op) in graph.ops.iter().enumerate() {
        for tensor in op.inputs[..op.input_count as usize].iter().chain([&op.output]) {
            last_use[*tensor as usize] = index;
        }
    }
    let mut free_at: Vec<usize> = Vec::new();
    for (index, op) in graph.ops.iter().enumerate() {
        let out = &mut graph.tensors[op.output as usize];
        if out.role != ACTIVATION {
            continue;
        }
        let slot = free_at.iter().position(|at| *at <= index).unwrap_or(free_at.len());
        if slot == free_at.len() {
            free_at.push(0);
            graph.slots.push(0);
        }
        free_at[slot] = last_use[op.output as usize] + 1;
        graph.slots[slot] = graph.slots[slot].max(out.columns * out.rows.max(1) as usize);
        out.slot = Some(slot);
    }
}

// --- Batches.

/// A batch as it was proven and copied, and where its tensors are.
pub struct Run {
    graph: Arc<Graph>,
    pool: PoolRef,
    pub tokens: Vec<u32>,
    pub positions: Vec<u32>,
    pub sequences: Vec<u32>,
    pub rows: Vec<u32>,
    pub tables: Vec<u32>,
    sequence_count: u32,
    pub stride: usize,
    places: Vec<*mut f32>,
}
unsafe impl Send for Run {}
unsafe impl std::marker::Sync for Run {}

impl Run {
    pub fn program(&self) -> &Graph {
        &self.graph
    }

    pub fn pool(&self) -> &crate::kv::Pool {
        unsafe { &*self.pool }
    }

    pub fn input(&self, op: &Op, index: usize) -> &Tensor {
        &self.graph.tensors[op.inputs[index] as usize]
    }

    fn count(&self, tensor: &Tensor) -> usize {
        let rows = match tensor.rows {
            DIM_TOKENS => self.positions.len(),
            DIM_ROWS => self.rows.len(),
            rows => rows as usize,
        };
        rows * tensor.columns
    }

    /// The values of an input or activation. Each is written by one operation and read by later ones.
    pub fn values(&self, tensor: u32) -> &[f32] {
        let (place, count) = (self.places[tensor as usize], self.count(&self.graph.tensors[tensor as usize]));
        if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(place, count) } }
    }

    #[allow(clippy::mut_from_ref)] // one operation at a time writes its own output
    pub fn output(&self, tensor: u32) -> &mut [f32] {
        let (place, count) = (self.places[tensor as usize], self.count(&self.graph.tensors[tensor as usize]));
        if count == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(place, count) } }
    }

    /// On the queue's thread.
    fn perform(mut self, cancelled: &std::sync::atomic::AtomicBool, work: &Work) -> Outcome<()> {
        let mut memory: Vec<Vec<f32>> = self.graph.slots.iter().map(|columns| vec![0.0; columns * self.positions.len()]).collect();
        for (tensor, place) in self.graph.tensors.iter().zip(&mut self.places) {
            if let Some(slot) = tensor.slot {
                *place = memory[slot].as_mut_ptr();
            }
        }
        for op in &self.graph.ops {
            if cancelled.load(Ordering::Relaxed) {
                return failure(CANCELLED, "the device was quiesced while this batch ran");
            }
            operate(&self, op, work)?;
        }
        work.complete(self.graph.layer_count);
        Ok(())
    }

    /// Tokens, rows, and sequences that are contiguous with positions that follow one another.
    fn check_tokens(&self) -> Outcome<()> {
        let mut seen = vec![false; self.sequence_count as usize];
        for row in &self.rows {
            need!((*row as usize) < self.positions.len(), "row {row} of {} tokens", self.positions.len());
        }
        for (t, position) in self.positions.iter().enumerate() {
            if let Some(vocabulary) = self.graph.vocabulary {
                need!(u64::from(self.tokens[t]) < vocabulary, "token {} of a vocabulary of {vocabulary}", self.tokens[t]);
            }
            let sequence = self.sequences[t];
            need!(sequence < self.sequence_count, "sequence {sequence} of {}", self.sequence_count);
            if self.graph.max_context > 0 && *position >= self.graph.max_context {
                return failure(OUT_OF_RANGE, format!("position {position}; the program was compiled for a context of {}", self.graph.max_context));
            }
            let follows = t > 0 && self.sequences[t - 1] == sequence;
            need!(follows || !seen[sequence as usize], "the tokens of sequence {sequence} are not together");
            need!(!follows || u64::from(*position) == u64::from(self.positions[t - 1]) + 1, "position {position} does not follow in sequence {sequence}");
            seen[sequence as usize] = true;
        }
        Ok(())
    }

    fn check_blocks(&self) -> Outcome<()> {
        let graph = &self.graph;
        if !graph.attends {
            return Ok(());
        }
        need!(!self.pool.is_null(), "the program attends and the batch has no KV pool");
        let d = &self.pool().desc;
        let holds = (d.kv_heads, d.head_dim) == (graph.kv_heads, graph.head_dim)
            && d.first_layer <= graph.first_layer
            && d.first_layer + d.layers >= graph.first_layer + graph.layer_count;
        need!(holds, "a pool of {} layers from {}, {} heads of {} is not the program's KV", d.layers, d.first_layer, d.kv_heads, d.head_dim);
        for (position, sequence) in self.positions.iter().zip(&self.sequences) {
            let reached = (position / d.block_tokens) as usize;
            need!(reached < self.stride && !self.tables.is_empty(), "position {position} needs block {reached} of a table of {}", self.stride);
            let start = *sequence as usize * self.stride;
            for block in &self.tables[start..=start + reached] {
                need!(*block < d.block_count, "block {block} of a pool of {}", d.block_count);
            }
        }
        Ok(())
    }

    fn bind(&mut self, binding: &Binding) -> Outcome<()> {
        need!((binding.tensor as usize) < self.graph.tensors.len(), "tensor {} of {} is bound", binding.tensor, self.graph.tensors.len());
        let tensor = &self.graph.tensors[binding.tensor as usize];
        need!(tensor.role == INPUT || tensor.role == OUTPUT, "'{}' is bound, and is neither input nor output", tensor.name);
        need!(!binding.buffer.is_null(), "'{}' is bound to no buffer", tensor.name);
        let (buffer, bytes) = (unsafe { &*binding.buffer }, self.count(tensor) as u64 * 4);
        need!(
            binding.offset % 4 == 0 && binding.offset <= buffer.length && bytes <= buffer.length - binding.offset,
            "'{}' takes {bytes} bytes at {} of a buffer of {}", tensor.name, binding.offset, buffer.length
        );
        if tensor.role == OUTPUT && !buffer.writable {
            return failure(PERMISSION_DENIED, format!("'{}' is bound to memory imported for reading", tensor.name));
        }
        self.places[binding.tensor as usize] = unsafe { buffer.base.add(binding.offset as usize) } as *mut f32;
        Ok(())
    }
}

fn check_counts(graph: &Graph, batch: &Batch) -> Outcome<()> {
    let sound = batch.token_count > 0 && batch.sequence_count > 0 && !batch.positions.is_null() && !batch.sequences.is_null();
    need!(sound, "a batch of {} tokens in {} sequences; each is 1 or more, with positions and sequences", batch.token_count, batch.sequence_count);
    if batch.token_count > graph.max_tokens || batch.sequence_count > graph.max_sequences {
        let words = format!("{} tokens in {} sequences; the program was compiled for {} in {}", batch.token_count, batch.sequence_count, graph.max_tokens, graph.max_sequences);
        return failure(OUT_OF_RANGE, words);
    }
    need!(batch.row_count <= batch.token_count && (batch.row_count == 0 || !batch.rows.is_null()), "{} rows of {} tokens", batch.row_count, batch.token_count);
    need!(graph.vocabulary.is_none() || !batch.tokens.is_null(), "the program embeds tokens and the batch has none");
    Ok(())
}

fn read_batch(graph: &Arc<Graph>, batch: *const Batch) -> Outcome<Run> {
    let batch = take(batch, Batch::zero(), offset_of!(Batch, tag), "a batch")?;
    check_counts(graph, &batch)?;
    let (tokens, table) = (batch.token_count as usize, batch.sequence_count as usize * batch.block_table_stride as usize);
    let mut run = Run {
        graph: graph.clone(),
        pool: batch.pool,
        tokens: numbers(batch.tokens, tokens),
        positions: numbers(batch.positions, tokens),
        sequences: numbers(batch.sequences, tokens),
        rows: numbers(batch.rows, batch.row_count as usize),
        tables: numbers(batch.block_tables, table),
        sequence_count: batch.sequence_count,
        stride: batch.block_table_stride as usize,
        places: vec![std::ptr::null_mut(); graph.tensors.len()],
    };
    run.check_tokens()?;
    run.check_blocks()?;
    for index in 0..batch.binding_count as usize {
        run.bind(&at(batch.bindings, index, Binding::zero(), size_of::<Binding>(), "a binding")?)?;
    }
    for (tensor, place) in graph.tensors.iter().zip(&run.places) {
        let bound = tensor.role == INPUT || tensor.role == OUTPUT;
        need!(!bound || !place.is_null() || run.count(tensor) == 0, "'{}' is bound to no buffer", tensor.name);
    }
    Ok(run)
}

// --- The table.

fn read_graph(desc: &ProgramDesc) -> Outcome<Graph> {
    need!(
        !desc.tensors.is_null() && !desc.ops.is_null() && desc.tensor_count > 0 && desc.op_count > 0, "a program of {} tensors and {} operations", desc.tensor_count,
        desc.op_count
    );
    need!(desc.max_tokens > 0 && desc.max_sequences > 0, "a program for batches of {} tokens in {} sequences", desc.max_tokens, desc.max_sequences);
    if desc.max_tokens > MAX_TOKENS || desc.max_sequences > MAX_SEQUENCES {
        let words = format!("a program for {} tokens in {} sequences; {MAX_TOKENS} in {MAX_SEQUENCES} are the most", desc.max_tokens, desc.max_sequences);
        return failure(OUT_OF_RANGE, words);
    }
    let mut graph = Graph {
        tensors: Vec::new(),
        ops: Vec::new(),
        first_layer: desc.first_layer,
        layer_count: desc.layer_count,
        kv_heads: desc.kv_heads,
        head_dim: desc.head_dim,
        max_tokens: desc.max_tokens,
        max_sequences: desc.max_sequences,
        max_context: desc.max_context,
        slots: Vec::new(),
        vocabulary: None,
        attends: false,
    };
    for index in 0..desc.tensor_count as usize {
        graph.tensors.push(read_tensor(&at(desc.tensors, index, Tensor_::zero(), size_of::<Tensor_>(), "a tensor")?)?);
    }
    read_ops(desc, &mut graph)?;
    plan_slots(&mut graph);
    Ok(graph)
}

extern "C" fn compile(device: DeviceRef, desc: *const ProgramDesc, out: *mut ProgramRef, status: StatusRef) -> Code {
    guarded(status, || {
        let desc = take(desc, ProgramDesc::zero(), offset_of!(ProgramDesc, progress), "a program")?;
        let graph = read_graph(&desc)?;
        if let Some(progress) = desc.progress {
            progress(desc.progress_user, 1.0);
        }
        unsafe { *out = (*device).keep(Program { graph: Arc::new(graph) }) };
        Ok(())
    })
}

extern "C" fn info(_device: DeviceRef, program: ProgramRef, out: *mut ProgramInfo, status: StatusRef) -> Code {
    guarded(status, || {
        let graph = unsafe { &(*program).graph };
        let floats = graph.slots.iter().sum::<usize>() * graph.max_tokens as usize;
        // Weights stay where they are; a batch's workspace is taken and given back.
        give(out, ProgramInfo { workspace_bytes: floats as u64 * 4, ..ProgramInfo::zero() })
    })
}

extern "C" fn release(device: DeviceRef, program: ProgramRef) {
    unsafe { &*device }.drop_object(program);
}

extern "C" fn submit(device: DeviceRef, program: ProgramRef, batch: *const Batch, sync: *const Sync, status: StatusRef) -> Code {
    guarded(status, || {
        let device: &Device = unsafe { &*device };
        if device.refuses.load(Ordering::SeqCst) {
            return failure(FAILED_PRECONDITION, "the device is quiesced and takes no more work");
        }
        let run = read_batch(unsafe { &(*program).graph }, batch)?;
        let cancelled = device.cancelled.clone();
        device.take(sync, move |work: &Work| run.perform(&cancelled, work), false)
    })
}

pub static TABLE: Shared<ProgramTable> = Shared(ProgramTable {
    size: size_of::<ProgramTable>() as u32,
    reserved: 0,
    compile: Some(compile),
    info: Some(info),
    release: Some(release),
    submit: Some(submit),
});
