import CPUKernels
import DriverKit

/// A compiled program: weights readied, activations placed in slots that are used again once their last reader has run.
final class Plan: @unchecked Sendable {
    let description: ProgramDescription
    /// For each op that is linear, its weight; indexed like `description.operations`.
    let weights: [PreparedWeight?]
    /// Slot of each activation; -1 for weights, inputs and outputs, which lie elsewhere.
    let slots: [Int]
    /// Floats in a row of each slot.
    let slotWidths: [Int]
    /// For each op, how many linear ops from it on share their input and the form of their weights, so that they run as one.
    let together: [Int]
    /// Panels made at compile, charged to the device.
    let packedBytes: Int
    private let packed: Panels
    private let reserved: MemoryBudget.Reservation
    /// Biases of linear operations in f32, by tensor, where they are stored otherwise.
    private let biases: [Int: Scratch]

    init(
        _ description: ProgramDescription, kernels: Kernels, numerics: Numerics, host: Host, budget: MemoryBudget
    ) throws(DriverFailure) {
        self.description = description
        try Self.checkDTypes(description)
        let bytes = Self.packedBytes(description, numerics)
        reserved = try budget.hold(bytes, for: "repacked weights")
        biases = try Self.biases(description, kernels)
        packedBytes = bytes
        packed = Panels(try MappedMemory(count: bytes, for: "repacked weights", largePages: true))
        weights = try Self.prepare(description, kernels, numerics, host, into: packed.base)
        together = Self.together(description, weights)
        (slots, slotWidths) = Self.place(description)
        try checkWorkspace(budget)
    }

    private final class Panels {
        private let memory: MappedMemory
        var base: UnsafeMutableRawPointer { memory.base }
        init(_ memory: consuming MappedMemory) { self.memory = memory }
    }

    /// Floats that a slot takes for a batch of `tokens`, whole lines of 16.
    func slotFloats(_ slot: Int, tokens: Int) -> Int { (slotWidths[slot] * max(tokens, fixedRows) + 15) / 16 * 16 }

    /// The most rows of an activation whose rows are a fixed count.
    private var fixedRows: Int {
        description.tensors.reduce(1) { most, tensor in
            guard tensor.role == .activation, case .fixed(let rows) = tensor.rowsKind else { return most }
            return max(most, rows)
        }
    }

    /// Bytes of the activations of the largest batch; `Int.max` where they are more than can be said.
    var workspaceBytes: Int {
        var total = 0
        for width in slotWidths {
            let (floats, overflow) = width.multipliedReportingOverflow(by: max(fixedRows, description.maxTokens))
            guard !overflow, floats < Int.max / 8, total < Int.max / 2 else { return .max }
            total += floats * 4
        }
        return total
    }

    private func checkWorkspace(_ budget: MemoryBudget) throws(DriverFailure) {
        guard workspaceBytes <= budget.limit else {
            throw DriverFailure(
                .resourceExhausted, "activations of \(description.maxTokens) tokens need \(workspaceBytes) bytes of \(budget.limit); compile for smaller batches")
        }
    }

    private static func checkDTypes(_ program: ProgramDescription) throws(DriverFailure) {
        for tensor in program.tensors where tensor.role == .weight && !CPUDriver.weightDTypes.contains(tensor.dtype) {
            throw DriverFailure(.unimplemented, "weight '\(tensor.name)' is \(tensor.dtype), which this driver does not compute with; convert it to f32, f16 or bf16")
        }
    }

    private static func biases(_ program: ProgramDescription, _ kernels: Kernels) throws(DriverFailure) -> [Int: Scratch] {
        var made: [Int: Scratch] = [:]
        for op in program.operations where op.kind == .linear && op.inputs.count > 2 {
            let tensor = program.tensors[op.inputs[2]]
            guard tensor.dtype != .f32 else { continue }
            let wide = Scratch()
            kernels.table.pointee.dequantise(tensor.dtype.kernelType, try tensor.bytes(), wide.floats(tensor.columns), tensor.columns)
            made[op.inputs[2]] = wide
        }
        return made
    }

    /// The bias of a linear operation in f32; nil for none. It lives as long as the plan and the weights' buffers.
    func bias(_ op: ProgramDescription.Operation) throws(DriverFailure) -> UnsafePointer<Float>? {
        guard op.inputs.count > 2 else { return nil }
        if let wide = biases[op.inputs[2]] { return UnsafePointer(wide.base.assumingMemoryBound(to: Float.self)) }
        return try description.tensors[op.inputs[2]].bytes().assumingMemoryBound(to: Float.self)
    }

    private static func packedBytes(_ program: ProgramDescription, _ numerics: Numerics) -> Int {
        Set(program.operations.filter { $0.kind == .linear }.map { $0.inputs[1] }).reduce(0) { total, weight in
            let tensor = program.tensors[weight]
            return total + aligned(PreparedWeight.packedBytes(tensor.dtype.kernelType, inputs: tensor.columns, outputs: tensor.rows, numerics))
        }
    }

    private static func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

    private static func together(_ program: ProgramDescription, _ weights: [PreparedWeight?]) -> [Int] {
        var together = [Int](repeating: 1, count: program.operations.count)
        for index in program.operations.indices.dropLast().reversed() {
            let (op, next) = (program.operations[index], program.operations[index + 1])
            guard let a = weights[index], let b = weights[index + 1], a.form == b.form, op.inputs[0] == next.inputs[0], op.output != next.inputs[0],
                program.tensors[op.output].rowsKind == program.tensors[next.output].rowsKind
            else { continue }
            together[index] = together[index + 1] + 1
        }
        return together
    }

    private static func prepare(
        _ program: ProgramDescription, _ kernels: Kernels, _ numerics: Numerics, _ host: Host, into room: UnsafeMutableRawPointer
    ) throws(DriverFailure) -> [PreparedWeight?] {
        var made: [Int: PreparedWeight] = [:]
        var next = room
        var all: [PreparedWeight?] = []
        let count = max(1, program.operations.count)
        for (index, op) in program.operations.enumerated() {
            guard op.kind == .linear else { all.append(nil); continue }
            if made[op.inputs[1]] == nil {
                let weight = try weight(program, op.inputs[1], kernels, numerics, host, &next)
                made[op.inputs[1]] = weight
            }
            all.append(made[op.inputs[1]])
            program.report(Double(index) / Double(count))
        }
        program.report(1)
        return all
    }

    private static func weight(
        _ program: ProgramDescription, _ index: Int, _ kernels: Kernels, _ numerics: Numerics, _ host: Host,
        _ next: inout UnsafeMutableRawPointer
    ) throws(DriverFailure) -> PreparedWeight {
        let tensor = program.tensors[index]
        let stored = try tensor.bytes()
        let (inputs, outputs) = (tensor.columns, tensor.rows)
        let from = tensor.dtype.kernelType
        let (rowBytes, file) = (cpuk_bytes(from, inputs), tensor.buffer as? HostBuffer)
        let (form, type) = PreparedWeight.form(from, inputs: inputs, numerics)
        guard form != .rows else { return PreparedWeight(form: form, type: type, base: stored, inputs: inputs, outputs: outputs) }
        let weight = PreparedWeight(form: form, type: type, base: next, inputs: inputs, outputs: outputs)
        nonisolated(unsafe) let (target, source, table) = (next, stored, kernels.table)
        host.parallelFor(weight.panelCount, grain: 4) { begin, end, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: inputs) { row in
                for panel in begin..<end {
                    let (width, place) = (min(16, outputs - panel * 16), target + panel * weight.panelBytes)
                    if form == .packed { table.pointee.pack(type, source, inputs, panel * 16, width, place) } else {
                        cpuk_pack_panel(table, from, source, inputs, panel * 16, width, type, place, row.baseAddress)
                    }
                }
                file?.release(tensor.offset + begin * 16 * rowBytes..<tensor.offset + min(end * 16, outputs) * rowBytes)
            }
        }
        next += aligned(weight.panelCount * weight.panelBytes)
        return weight
    }

    /// Slots by liveness: a slot is free again after the op that last reads what is in it.
    private static func place(_ program: ProgramDescription) -> (slots: [Int], widths: [Int]) {
        var lastUse = [Int](repeating: -1, count: program.tensors.count)
        for (index, op) in program.operations.enumerated() {
            for input in op.inputs { lastUse[input] = index }
            lastUse[op.output] = max(lastUse[op.output], index)
        }
        var slots = [Int](repeating: -1, count: program.tensors.count)
        var widths: [Int] = []
        var free: [Int] = []
        for (index, op) in program.operations.enumerated() {
            let tensor = program.tensors[op.output]
            if tensor.role == .activation {
                let width = tensor.columns
                let fitting = free.indices.min { abs(widths[free[$0]] - width) < abs(widths[free[$1]] - width) }
                let slot = fitting.map { free.remove(at: $0) } ?? widths.count
                if slot == widths.count { widths.append(width) } else { widths[slot] = max(widths[slot], width) }
                slots[op.output] = slot
            }
            for tensor in Set(op.inputs + [op.output]) where lastUse[tensor] == index && slots[tensor] >= 0 { free.append(slots[tensor]) }
        }
        return (slots, widths)
    }
}
