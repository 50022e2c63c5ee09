import CPUKernels
import DriverKit

/// Scratch that grows and is kept: one for each device queue, so that running allocates only when a batch is larger than any before.
final class Scratch: @unchecked Sendable {
    private(set) var base: UnsafeMutableRawPointer = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    private var count = 64

    /// At least `bytes` bytes, 64-byte aligned; what was in it before is lost when it grows.
    func room(_ bytes: Int) -> UnsafeMutableRawPointer {
        if bytes > count {
            base.deallocate()
            base = .allocate(byteCount: bytes, alignment: 64)
            count = bytes
        }
        return base
    }

    func floats(_ count: Int) -> UnsafeMutablePointer<Float> { room(count * 4).assumingMemoryBound(to: Float.self) }

    deinit { base.deallocate() }
}

/// Linear operations over one batch. Keeps the last input it rounded or quantised, since q, k and v share theirs, as gate and up do.
final class Linear: @unchecked Sendable {
    private let kernels: Kernels
    private let numerics: Numerics
    private let host: Host
    private let codes = Scratch()
    private let scales = Scratch()
    private let rounded = Scratch()
    private let panels = Scratch()
    private var readied: (tensor: Int, form: PreparedWeight.Form)?

    init(kernels: Kernels, numerics: Numerics, host: Host) {
        self.kernels = kernels
        self.numerics = numerics
        self.host = host
    }

    /// Forgets what was readied: the tensors are about to change.
    func begin() { readied = nil }

    /// `tensor` names `x`, so that an input used again is readied once. x: [tokens][inputs], out: [tokens][outputs].
    func run(
        _ weight: PreparedWeight, bias: UnsafePointer<Float>?, tensor: Int, x: UnsafePointer<Float>, tokens: Int,
        out: UnsafeMutablePointer<Float>
    ) {
        guard tokens > 0 else { return }
        if readied?.tensor != tensor || readied?.form != weight.form {
            ready(weight.form, x, tokens: tokens, inputs: weight.inputs)
            readied = (tensor, weight.form)
        }
        switch weight.form {
        case .quantised: quantised(weight, bias, tokens, out)
        case .rows: tokens < 6 ? rows(weight, bias, x, tokens, out) : unpacked(weight, bias, x, tokens, out)
        case .panels: packed(weight, bias, tokens, out)
        }
    }

    private func ready(_ form: PreparedWeight.Form, _ x: UnsafePointer<Float>, tokens: Int, inputs: Int) {
        let table = kernels.table
        switch form {
        case .rows: return
        case .quantised:
            let blocks = inputs / 32
            let values = codes.room(tokens * inputs).assumingMemoryBound(to: Int8.self)
            let scale = scales.floats(2 * tokens * blocks)
            let sums = scale + tokens * blocks
            nonisolated(unsafe) let (values_, scale_, sums_, x_) = (values, scale, sums, x)
            host.parallelFor(tokens, grain: 8) { begin, end, _ in
                for t in begin..<end {
                    table.pointee.quantise(x_ + t * inputs, inputs, values_ + t * inputs, scale_ + t * blocks, sums_ + t * blocks)
                }
            }
        case .panels:
            let target = rounded.floats(tokens * inputs)
            guard let type = numerics.operandType else { return }
            nonisolated(unsafe) let (target_, x_) = (target, x)
            host.parallelFor(tokens, grain: 8) { begin, end, _ in
                table.pointee.round(type, x_ + begin * inputs, target_ + begin * inputs, (end - begin) * inputs)
            }
        }
    }

    private func quantised(_ weight: PreparedWeight, _ bias: UnsafePointer<Float>?, _ tokens: Int, _ out: UnsafeMutablePointer<Float>) {
        let blocks = weight.inputs / 32
        let scale = scales.base.assumingMemoryBound(to: Float.self)
        nonisolated(unsafe) let activations = cpuk_q8(
            values: codes.base.assumingMemoryBound(to: Int8.self), scales: scale, sums: scale + tokens * blocks)
        nonisolated(unsafe) let (bias, out, table) = (bias, out, kernels.table)
        host.parallelFor(weight.outputs, grain: max(8, 16_384 / weight.inputs)) { begin, end, _ in
            var input = activations
            table.pointee.linear_q8(weight.type, weight.base, weight.inputs, begin, end, &input, tokens, bias, out, weight.outputs)
        }
    }

    private func rows(
        _ weight: PreparedWeight, _ bias: UnsafePointer<Float>?, _ x: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        nonisolated(unsafe) let (bias, x, out, table) = (bias, x, out, kernels.table)
        host.parallelFor(weight.outputs, grain: max(8, 16_384 / weight.inputs)) { begin, end, _ in
            table.pointee.linear_rows(weight.type, weight.base, weight.inputs, begin, end, x, tokens, bias, out, weight.outputs)
        }
    }

    /// Panels made as they are used: each is dequantised once and meets every token.
    private func unpacked(
        _ weight: PreparedWeight, _ bias: UnsafePointer<Float>?, _ x: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        let each = weight.inputs * 17
        nonisolated(unsafe) let scratch = panels.floats(each * host.workerCount)
        nonisolated(unsafe) let (bias, x, out, table) = (bias, x, out, kernels.table)
        host.parallelFor(weight.panelCount, grain: 1) { begin, end, worker in
            let panel = scratch + worker * each
            let row = panel + weight.inputs * 16
            for index in begin..<end {
                let width = min(16, weight.outputs - index * 16)
                cpuk_pack_panel(table, weight.type, weight.base, weight.inputs, index * 16, width, Int32(CPUK_F32.rawValue), panel, row)
                table.pointee.linear_panel(
                    Int32(CPUK_F32.rawValue), panel, weight.inputs, width, x, tokens, bias.map { $0 + index * 16 }, out + index * 16,
                    weight.outputs)
            }
        }
    }

    private func packed(_ weight: PreparedWeight, _ bias: UnsafePointer<Float>?, _ tokens: Int, _ out: UnsafeMutablePointer<Float>) {
        nonisolated(unsafe) let x = UnsafePointer(rounded.base.assumingMemoryBound(to: Float.self))
        nonisolated(unsafe) let (bias, out, table) = (bias, out, kernels.table)
        host.parallelFor(weight.panelCount, grain: 1) { begin, end, _ in
            for index in begin..<end {
                let width = min(16, weight.outputs - index * 16)
                table.pointee.linear_panel(
                    weight.type, weight.base + index * weight.panelBytes, weight.inputs, width, x, tokens, bias.map { $0 + index * 16 },
                    out + index * 16, weight.outputs)
            }
        }
    }
}
