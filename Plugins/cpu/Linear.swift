import CPUKernels
import DriverKit

/// Linear operations over one batch. Operations that share an input run as one job of the worker pool; the input is quantised or rounded
/// once, and kept for those that come after.
final class Linear: @unchecked Sendable {
    /// One operation: out [tokens][outputs] = x [tokens][inputs] by the weight, plus the bias.
    struct Operation {
        var weight: PreparedWeight
        var bias: UnsafePointer<Float>?
        var out: UnsafeMutablePointer<Float>
    }

    private let kernels: Kernels
    private let numerics: Numerics
    private let host: Host
    private let codes = Scratch()
    private let scales = Scratch()
    private let rounded = Scratch()
    private let opened = Scratch()
    private var readied: (tensor: Int, form: PreparedWeight.Form)?
    /// One for each worker; nil while nothing is to be asked for.
    var asks: UnsafeMutablePointer<cpuk_ask>?

    init(kernels: Kernels, numerics: Numerics, host: Host) {
        self.kernels = kernels
        self.numerics = numerics
        self.host = host
    }

    /// Forgets what was readied: the tensors are about to change.
    func begin() { readied = nil }

    /// `operations` have one form and as many inputs. `tensor` names `x`, so that an input used again is readied once.
    func run(_ operations: [Operation], tensor: Int, x: UnsafePointer<Float>, tokens: Int) {
        guard tokens > 0, let first = operations.first?.weight else { return }
        if readied?.tensor != tensor || readied?.form != first.form {
            ready(first.form, x, tokens: tokens, inputs: first.inputs)
            readied = (tensor, first.form)
        }
        switch first.form {
        case .packed: packed(operations, tokens)
        case .pairs: pairs(operations, tokens)
        case .panels: panels(operations, tokens)
        case .rows: for operation in operations { tokens < 6 ? rows(operation, x, tokens) : unpacked(operation, x, tokens) }
        }
    }

    private func ready(_ form: PreparedWeight.Form, _ x: UnsafePointer<Float>, tokens: Int, inputs: Int) {
        nonisolated(unsafe) let (x, table) = (x, kernels.table)
        switch form {
        case .rows: return
        case .packed:
            let input = Input(to: quantisedInput(tokens: tokens, inputs: inputs), inputs: inputs, table: table)
            host.parallelFor(tokens, grain: 8) { begin, end, _ in input.ready(begin..<end, x + begin * inputs) }
        case .panels:
            nonisolated(unsafe) let target = rounded.floats(tokens * inputs)
            host.parallelFor(tokens, grain: 8) { begin, end, _ in
                table.pointee.round(Int32(CPUK_F16.rawValue), x + begin * inputs, target + begin * inputs, (end - begin) * inputs)
            }
        case .pairs:
            let width = (inputs + 1) / 2 * 2
            nonisolated(unsafe) let target = rounded.room(tokens * width * 2).assumingMemoryBound(to: UInt16.self)
            host.parallelFor(tokens, grain: 8) { begin, end, _ in
                for t in begin..<end {
                    table.pointee.narrow(Int32(CPUK_BF16.rawValue), x + t * inputs, target + t * width, inputs)
                    if width > inputs { target[t * width + inputs] = 0 }
                }
            }
        }
    }

    /// The input of a linear operation, quantised row by row. Any thread.
    struct Input: @unchecked Sendable {
        fileprivate let to: cpuk_q8
        let inputs: Int
        fileprivate let table: UnsafePointer<cpuk_table>

        /// `x`: the first of the rows.
        func ready(_ rows: Range<Int>, _ x: UnsafePointer<Float>) {
            let blocks = inputs / 32
            for (index, t) in rows.enumerated() {
                table.pointee.quantise(
                    x + index * inputs, inputs, to.values + t * inputs, to.scales + t * blocks, to.counts + t * blocks, to.joined + t * blocks)
            }
        }
    }

    /// For a `step` whose input is computed row by row just before it: all rows are readied by the caller. Nil where that is not a packed linear one.
    func input(of step: Step, tokens: Int) -> Input? {
        guard step.kind == .linear, let weight = step.weight, weight.form == .packed else { return nil }
        readied = (step.a, weight.form)
        return Input(to: quantisedInput(tokens: tokens, inputs: weight.inputs), inputs: weight.inputs, table: kernels.table)
    }

    /// Where the quantised input lies, [tokens][inputs].
    private func quantisedInput(tokens: Int, inputs: Int) -> cpuk_q8 {
        let blocks = tokens * inputs / 32
        let values = codes.room(tokens * inputs).assumingMemoryBound(to: Int8.self)
        let scale = scales.floats(3 * blocks)
        let counts = UnsafeMutableRawPointer(scale + blocks).assumingMemoryBound(to: Int32.self)
        return cpuk_q8(values: values, scales: scale, counts: counts, joined: counts + blocks)
    }

    /// Shares out `unit` panels at a time of all operations; `body` hears an operation, a range of its panels, and the worker.
    private func share(
        _ operations: [Operation], unit: Int, _ body: (Operation, Int, Int, Int) -> Void
    ) {
        let units = operations.reduce(0) { $0 + ($1.weight.panelCount + unit - 1) / unit }
        host.parallelFor(units, grain: 1) { begin, end, worker in
            var first = 0
            for operation in operations {
                let panels = operation.weight.panelCount
                let count = (panels + unit - 1) / unit
                let (from, to) = (max(begin, first) - first, min(end, first + count) - first)
                if from < to { body(operation, from * unit, min(to * unit, panels), worker) }
                first += count
            }
        }
    }

    private func packed(_ operations: [Operation], _ tokens: Int) {
        guard let inputs = operations.first?.weight.inputs else { return }
        let each = cpuk_opened_bytes(inputs)
        nonisolated(unsafe) let input = quantisedInput(tokens: tokens, inputs: inputs)
        nonisolated(unsafe) let (scratch, table, asks) = (opened.room(each * host.workerCount), kernels.table, asks)
        share(operations, unit: tokens <= 8 ? 1 : 2) { operation, first, last, worker in
            var input = input
            let weight = operation.weight
            table.pointee.linear_packed(
                weight.type, weight.base, weight.inputs, first, last, weight.outputs, &input, tokens, operation.bias, operation.out,
                weight.outputs, scratch + worker * each, asks.map { $0 + worker })
        }
    }

    private func pairs(_ operations: [Operation], _ tokens: Int) {
        nonisolated(unsafe) let (x, table) = (UnsafePointer(rounded.base.assumingMemoryBound(to: UInt16.self)), kernels.table)
        share(operations, unit: 4) { operation, first, last, _ in
            let weight = operation.weight
            table.pointee.linear_pairs(
                weight.base, (weight.inputs + 1) / 2 * 2, first, last, weight.outputs, x, tokens, operation.bias, operation.out, weight.outputs)
        }
    }

    private func panels(_ operations: [Operation], _ tokens: Int) {
        nonisolated(unsafe) let (x, table) = (UnsafePointer(rounded.base.assumingMemoryBound(to: Float.self)), kernels.table)
        share(operations, unit: 1) { operation, first, last, _ in
            let weight = operation.weight
            for panel in first..<last {
                table.pointee.linear_panel(
                    weight.type, weight.base + panel * weight.panelBytes, weight.inputs, min(16, weight.outputs - panel * 16), x, tokens,
                    operation.bias.map { $0 + panel * 16 }, operation.out + panel * 16, weight.outputs)
            }
        }
    }

    private func rows(_ operation: Operation, _ x: UnsafePointer<Float>, _ tokens: Int) {
        nonisolated(unsafe) let (operation, x, table) = (operation, x, kernels.table)
        let weight = operation.weight
        host.parallelFor(weight.outputs, grain: max(16, 16_384 / weight.inputs / 16 * 16)) { begin, end, _ in
            table.pointee.linear_rows(
                weight.type, weight.base, weight.inputs, begin, end, x, tokens, operation.bias, operation.out, weight.outputs)
        }
    }

    /// Panels made as they are used: each is dequantised once and meets every token.
    private func unpacked(_ operation: Operation, _ x: UnsafePointer<Float>, _ tokens: Int) {
        let weight = operation.weight
        let each = weight.inputs * 17
        nonisolated(unsafe) let scratch = opened.floats(each * host.workerCount)
        nonisolated(unsafe) let (operation, x, table) = (operation, x, kernels.table)
        host.parallelFor(weight.panelCount, grain: 1) { begin, end, worker in
            let panel = scratch + worker * each
            let row = panel + weight.inputs * 16
            for index in begin..<end {
                let width = min(16, weight.outputs - index * 16)
                cpuk_pack_panel(table, weight.type, weight.base, weight.inputs, index * 16, width, Int32(CPUK_F32.rawValue), panel, row)
                table.pointee.linear_panel(
                    Int32(CPUK_F32.rawValue), panel, weight.inputs, width, x, tokens, operation.bias.map { $0 + index * 16 },
                    operation.out + index * 16, weight.outputs)
            }
        }
    }
}
