//! Step 6, second part: the operations themselves, in f32. This is the file that your device replaces first.
use crate::contract::*;
use crate::program::{Run, Tensor};
use crate::timeline::Work;
use crate::{need, parallel};

// --- Elements.

/// Elements of a block; 0 for a dtype this driver does not take.
pub fn dtype_elements(dtype: u32) -> usize {
    match dtype {
        F32 | F16 | BF16 => 1,
        Q4_0 | Q4_1 | Q8_0 => 32,
        _ => 0,
    }
}

/// Bytes of a block.
pub fn dtype_bytes(dtype: u32) -> usize {
    match dtype {
        F32 => 4,
        F16 | BF16 => 2,
        Q4_0 => 18,
        Q4_1 => 20,
        Q8_0 => 34,
        _ => 0,
    }
}

fn from_half(half: u16) -> f32 {
    let (sign, rest) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7FFF));
    if rest >= 0x7C00 {
        return f32::from_bits(sign | 0x7F80_0000 | (rest & 0x3FF) << 13);
    }
    let scale = f32::from_bits((127 + 112) << 23);
    f32::from_bits(sign | (f32::from_bits(rest << 13) * scale).to_bits()) // exact, also where the half is subnormal
}

/// Rounded to nearest, ties to even.
fn to_half(value: f32) -> u16 {
    let (sign, size) = ((value.to_bits() >> 16 & 0x8000) as u16, value.abs());
    if size.is_nan() {
        return sign | 0x7E00;
    }
    if size >= 65520.0 {
        return sign | 0x7C00;
    }
    if size < 6.103_515_6e-5 {
        return sign | (size * 16_777_216.0).round_ties_even() as u16;
    }
    let rest = size.to_bits();
    sign | (((rest + 0xFFF + (rest >> 13 & 1)) >> 13) - 0x1C000) as u16
}

fn to_bfloat(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() { 0x7FC0 } else { (bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16) as u16 }
}

fn read16(bytes: *const u8) -> u16 {
    unsafe { (bytes as *const u16).read_unaligned() }
}

/// Elements, whole blocks, as f32. The caller has proven that they are there.
pub fn decode(dtype: u32, bytes: *const u8, out: &mut [f32]) {
    match dtype {
        F32 => unsafe { std::ptr::copy_nonoverlapping(bytes, out.as_mut_ptr() as *mut u8, out.len() * 4) },
        F16 => out.iter_mut().enumerate().for_each(|(i, value)| *value = from_half(read16(unsafe { bytes.add(2 * i) }))),
        BF16 => out.iter_mut().enumerate().for_each(|(i, value)| *value = f32::from_bits(u32::from(read16(unsafe { bytes.add(2 * i) })) << 16)),
        _ => {
            for (index, block) in out.chunks_exact_mut(32).enumerate() {
                decode_block(dtype, unsafe { std::slice::from_raw_parts(bytes.add(index * dtype_bytes(dtype)), dtype_bytes(dtype)) }, block);
            }
        }
    }
}

fn decode_block(dtype: u32, bytes: &[u8], out: &mut [f32]) {
    let scale = from_half(read16(bytes.as_ptr()));
    if dtype == Q8_0 {
        for (value, code) in out.iter_mut().zip(&bytes[2..]) {
            *value = scale * f32::from(*code as i8);
        }
        return;
    }
    let (least, codes) = if dtype == Q4_1 { (from_half(read16(bytes[2..].as_ptr())), &bytes[4..]) } else { (-8.0 * scale, &bytes[2..]) };
    let (low, high) = out.split_at_mut(16);
    for (i, code) in codes.iter().take(16).enumerate() {
        low[i] = scale * f32::from(code & 15) + least;
        high[i] = scale * f32::from(code >> 4) + least;
    }
}

/// As f32, f16 or bf16.
pub fn encode(dtype: u32, values: &[f32], out: *mut u8) {
    for (i, value) in values.iter().enumerate() {
        unsafe {
            match dtype {
                F32 => (out as *mut f32).add(i).write_unaligned(*value),
                F16 => (out as *mut u16).add(i).write_unaligned(to_half(*value)),
                _ => (out as *mut u16).add(i).write_unaligned(to_bfloat(*value)),
            }
        }
    }
}

// --- What every operation needs.

fn weight_row(weight: &Tensor, row: usize, out: &mut [f32]) {
    let stride = weight.columns / dtype_elements(weight.dtype) * dtype_bytes(weight.dtype);
    decode(weight.dtype, unsafe { weight.bytes.add(row * stride) }, out);
}

fn whole(weight: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; weight.rows as usize * weight.columns];
    for (row, out) in values.chunks_exact_mut(weight.columns).enumerate() {
        weight_row(weight, row, out);
    }
    values
}

/// Sixteen sums, so that the compiler may use vectors without changing the order of additions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (x, y) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = x.remainder().iter().zip(y.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in x.zip(y) {
        for j in 0..16 {
            sums[j] += a[j] * b[j];
        }
    }
    tail + sums.iter().sum::<f32>()
}

/// Somewhere that several workers write to, each to its own elements.
#[derive(Clone, Copy)]
struct Out(*mut f32);
unsafe impl Send for Out {}
unsafe impl std::marker::Sync for Out {}

impl Out {
    unsafe fn at<'a>(self, start: usize, count: usize) -> &'a mut [f32] {
        std::slice::from_raw_parts_mut(self.0.add(start), count)
    }
}

// --- The operations.

fn rms_norm(run: &Run, op: &Op, x: &[f32], out: &mut [f32]) {
    let gain = whole(run.input(op, 1));
    let width = gain.len();
    for (from, to) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let squares: f64 = from.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
        let scale = (1.0 / (squares / width as f64 + f64::from(op.epsilon)).sqrt()) as f32;
        for i in 0..width {
            to[i] = from[i] * scale * gain[i];
        }
    }
}

/// Each weight's row is made f32 once and used for all rows of x.
fn linear(run: &Run, op: &Op, x: &[f32], out: &mut [f32]) {
    let weight = run.input(op, 1);
    let (inputs, outputs) = (weight.columns, weight.rows as usize);
    let bias = if op.input_count == 3 { whole(run.input(op, 2)) } else { vec![0.0; outputs] };
    let to = Out(out.as_mut_ptr());
    parallel(outputs, 16, |begin, end| {
        let mut row = vec![0.0; inputs];
        for o in begin..end {
            weight_row(weight, o, &mut row);
            for (n, from) in x.chunks_exact(inputs).enumerate() {
                let place = unsafe { to.at(n * outputs + o, 1) };
                place[0] = dot(from, &row) + bias[o];
            }
        }
    });
}

fn rope(run: &Run, op: &Op, x: &[f32], out: &mut [f32]) {
    out.copy_from_slice(x);
    let (dim, turned) = (op.head_dim as usize, op.rope_dims as usize);
    for (row, position) in out.chunks_exact_mut(op.heads as usize * dim).zip(&run.positions) {
        for pair in 0..turned / 2 {
            let angle = f64::from(*position) * f64::from(op.rope_scale) * f64::from(op.rope_base).powf(-2.0 * pair as f64 / turned as f64);
            let (s, c) = (angle.sin() as f32, angle.cos() as f32);
            let (a, b) = if op.rope_style == 1 { (2 * pair, 2 * pair + 1) } else { (pair, pair + turned / 2) };
            for head in row.chunks_exact_mut(dim) {
                (head[a], head[b]) = (head[a] * c - head[b] * s, head[a] * s + head[b] * c);
            }
        }
    }
}

/// Where the K or V of a position of a token's sequence lies.
fn kept(run: &Run, op: &Op, token: usize, position: usize, plane: usize, head: usize) -> *mut u8 {
    let pool = run.pool();
    let size = pool.desc.block_tokens as usize;
    let block = run.tables[run.sequences[token] as usize * run.stride + position / size];
    pool.row(op.layer as u32, block, plane, head, position % size)
}

/// One head of one token over the positions it sees.
fn attend(run: &Run, op: &Op, token: usize, head: usize, q: &[f32], out: &mut [f32]) {
    let (count, kv_head, dtype) = (run.positions[token] as usize + 1, head / (op.heads / op.kv_heads) as usize, run.pool().desc.dtype);
    let first = if op.window > 0 { count.saturating_sub(op.window as usize) } else { 0 };
    let mut row = vec![0.0; q.len()];
    let scores: Vec<f32> = (first..count)
        .map(|position| {
            decode(dtype, kept(run, op, token, position, 0, kv_head), &mut row);
            let score = dot(q, &row) * op.scale;
            if op.cap > 0.0 { op.cap * (score / op.cap).tanh() } else { score }
        })
        .collect();
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    out.fill(0.0);
    for (position, score) in (first..count).zip(scores) {
        let weight = (score - top).exp();
        sum += weight;
        decode(dtype, kept(run, op, token, position, 1, kv_head), &mut row);
        for (to, value) in out.iter_mut().zip(&row) {
            *to += weight * value;
        }
    }
    out.iter_mut().for_each(|value| *value /= sum);
}

fn attention(run: &Run, op: &Op, out: &mut [f32], work: &Work) {
    let (dim, heads, kv_heads) = (op.head_dim as usize, op.heads as usize, op.kv_heads as usize);
    for token in 0..run.positions.len() {
        for plane in 0..2 {
            let rows = run.values(op.inputs[1 + plane]);
            for head in 0..kv_heads {
                let start = (token * kv_heads + head) * dim;
                encode(run.pool().desc.dtype, &rows[start..start + dim], kept(run, op, token, run.positions[token] as usize, plane, head));
            }
        }
    }
    work.complete(op.layer as u32 - run.program().first_layer + 1);
    let (q, to) = (run.values(op.inputs[0]), Out(out.as_mut_ptr()));
    parallel(run.positions.len() * heads, 4, |begin, end| {
        for i in begin..end {
            attend(run, op, i / heads, i % heads, &q[i * dim..(i + 1) * dim], unsafe { to.at(i * dim, dim) });
        }
    });
}

/// ADD and MUL: element by element, or one row for all; the second may be a weight.
fn pairwise(run: &Run, op: &Op, x: &[f32], out: &mut [f32]) {
    let second = run.input(op, 1);
    let weight = if second.role == WEIGHT { whole(second) } else { Vec::new() };
    let y = if second.role == WEIGHT { &weight[..] } else { run.values(op.inputs[1]) };
    for (i, to) in out.iter_mut().enumerate() {
        let other = y[if second.rank == 1 { i % second.columns } else { i }];
        *to = if op.kind == 7 { x[i] + other } else { x[i] * other };
    }
}

/// Does one operation; attention tells `work` when its layer's KV is complete.
pub fn operate(run: &Run, op: &Op, work: &Work) -> Outcome<()> {
    let out = run.output(op.output);
    if out.is_empty() {
        return Ok(());
    }
    let first = run.input(op, 0);
    let x = if first.role == WEIGHT { &[][..] } else { run.values(op.inputs[0]) };
    match op.kind {
        1 => run.tokens.iter().zip(out.chunks_exact_mut(first.columns)).for_each(|(token, to)| weight_row(first, *token as usize, to)),
        2 => rms_norm(run, op, x, out),
        3 => linear(run, op, x, out),
        4 => rope(run, op, x, out),
        5 => attention(run, op, out, work),
        6 => out.iter_mut().zip(x.iter().zip(run.values(op.inputs[1]))).for_each(|(to, (gate, up))| *to = gate / (1.0 + (-gate).exp()) * up),
        7 | 8 => pairwise(run, op, x, out),
        9 => out.iter_mut().zip(x).for_each(|(to, value)| *to = value * op.scale),
        10 => out.iter_mut().zip(x).for_each(|(to, value)| *to = op.cap * (value / op.cap).tanh()),
        11 => {
            let width = first.columns;
            for (to, row) in out.chunks_exact_mut(width).zip(&run.rows) {
                to.copy_from_slice(&x[*row as usize * width..(*row as usize + 1) * width]);
            }
        }
        kind => need!(false, "operation {kind} passed compile"),
    }
    Ok(())
}
