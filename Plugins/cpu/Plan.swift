import CPUKernels
import DriverKit

/// A compiled program: weights readied, operations turned into steps, activations placed.
final class Plan: @unchecked Sendable {
    let description: ProgramDescription
    /// Kept till the plan ends, as `together` is.
    let steps: UnsafeBufferPointer<Step>
    /// Activations of a batch of a token or two, of some, step by step, and of many, tile by tile.
    let few: Workspace
    let whole: Workspace
    let tiled: Workspace
    /// Whether every linear step can run for some tokens at a time.
    let canTile: Bool
    /// For each step, how many linear ones from it on share their input and the form of their weights, so that they run as one; 0: one before runs it.
    let together: UnsafeBufferPointer<Int>
    /// What a worker that waits asks memory for.
    let ahead: WeightsAhead
    /// What rope turns by, each once.
    let turns: [Turn]
    /// Query heads of the attention with the most; 0 where there is none.
    let heads: Int
    /// Inputs and outputs that steps read or write.
    let boundTensors: [Int]
    /// The most rows of an activation whose rows are a fixed count.
    let fixedRows: Int
    /// Panels made at compile, charged to the device.
    let packedBytes: Int
    private let packed: Panels
    private let reserved: MemoryBudget.Reservation
    /// Vectors and matrices that steps use in f32, by tensor, where they are stored otherwise.
    private let widened: [Int: Scratch]
    private let workers: Int

    struct Turn: Hashable {
        var dims: Int
        var base, scale: Float
    }

    init(
        _ description: ProgramDescription, kernels: Kernels, numerics: Numerics, host: Host, budget: MemoryBudget
    ) throws(DriverFailure) {
        self.description = description
        try Self.checkDTypes(description)
        let bytes = Self.packedBytes(description, numerics)
        reserved = try budget.hold(bytes, for: "repacked weights")
        widened = try Self.widened(description, kernels)
        packedBytes = bytes
        packed = Panels(try MappedMemory(count: bytes, for: "repacked weights", largePages: true))
        var packing = Packing(kernels: kernels, numerics: numerics, into: packed.base)
        let weights = try packing.add(description)
        packing.run(host) { description.report($0) }
        let together = Self.together(description, weights)
        self.together = UnsafeBufferPointer(.lasting(together))
        var turns: [Turn] = []
        let steps = try Self.steps(description, weights, widened, &turns)
        self.turns = turns
        heads = steps.lazy.filter { $0.kind == .attention }.map(\.heads).max() ?? 0
        ahead = WeightsAhead(steps, together: together, workers: host.workerCount)
        self.steps = UnsafeBufferPointer(.lasting(steps))
        few = Workspace(description, steps, together: together, .few)
        whole = Workspace(description, steps, together: together, .whole)
        tiled = Workspace(description, steps, together: together, .tiled)
        canTile = weights.allSatisfy { $0.map { RowLinear.takes($0.form) } ?? true }
        boundTensors = Self.bound(description)
        fixedRows = Self.fixedRows(description)
        workers = host.workerCount
        try checkWorkspace(budget)
    }

    deinit {
        steps.deallocate()
        together.deallocate()
    }

    private static func bound(_ program: ProgramDescription) -> [Int] {
        let used = Set(program.operations.flatMap { $0.inputs + [$0.output] })
        return program.tensors.indices.filter { used.contains($0) && [.input, .output].contains(program.tensors[$0].role) }
    }

    private static func steps(
        _ program: ProgramDescription, _ weights: [PreparedWeight?], _ widened: [Int: Scratch], _ turns: inout [Turn]
    ) throws(DriverFailure) -> [Step] {
        func floats(_ tensor: Int) throws(DriverFailure) -> UnsafePointer<Float> {
            if let wide = widened[tensor] { return UnsafePointer(wide.base.assumingMemoryBound(to: Float.self)) }
            return try program.tensors[tensor].bytes().assumingMemoryBound(to: Float.self)
        }
        var steps: [Step] = []
        for (index, op) in program.operations.enumerated() {
            var turn = 0
            if op.kind == .rope {
                let wanted = Turn(dims: op.ropeDims, base: op.ropeBase, scale: op.ropeScale)
                turn = turns.firstIndex(of: wanted) ?? turns.count
                if turn == turns.count { turns.append(wanted) }
            }
            let bias = op.kind == .linear && op.inputs.count > 2 ? try floats(op.inputs[2]) : nil
            let other = isWidened(op, program) ? try floats(op.inputs[1]) : nil
            steps.append(
                try Step(
                    op, program, weight: weights[index], bias: bias, floats: other, turnsBefore: turns[..<min(turn, turns.count)].reduce(0) { $0 + $1.dims }))
        }
        return steps
    }

    /// Whether the second input is a weight that is used in f32 as it is.
    private static func isWidened(_ op: ProgramDescription.Operation, _ program: ProgramDescription) -> Bool {
        [.rmsNorm, .add, .mul].contains(op.kind) && program.tensors[op.inputs[1]].role == .weight
    }

    private final class Panels {
        private let memory: MappedMemory
        var base: UnsafeMutableRawPointer { memory.base }
        init(_ memory: consuming MappedMemory) { self.memory = memory }
    }

    private static func fixedRows(_ program: ProgramDescription) -> Int {
        program.tensors.reduce(1) { most, tensor in
            guard tensor.role == .activation, case .fixed(let rows) = tensor.rowsKind else { return most }
            return max(most, rows)
        }
    }

    /// Bytes of the activations of the largest batch; `Int.max` where they are more than can be said.
    var workspaceBytes: Int {
        let rows = max(fixedRows, description.maxTokens)
        let fewRows = max(fixedRows, min(description.maxTokens, Execution.fewTokens(workers: workers)))
        guard let whole = whole.shared.floats(rows: rows), let shared = tiled.shared.floats(rows: rows),
            let inner = tiled.inner.floats(rows: Execution.tile), inner < Int.max / 4096,
            let shortly = few.shared.floats(rows: fewRows), let own = few.inner.floats(rows: fewRows), own < Int.max / 4096
        else { return .max }
        return 4 * max(canTile ? max(whole, shared + inner * workers) : whole, shortly + own * workers)
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

    private static func widened(_ program: ProgramDescription, _ kernels: Kernels) throws(DriverFailure) -> [Int: Scratch] {
        var made: [Int: Scratch] = [:]
        for op in program.operations {
            let used = op.kind == .linear && op.inputs.count > 2 ? op.inputs[2] : isWidened(op, program) ? op.inputs[1] : -1
            guard used >= 0, made[used] == nil, program.tensors[used].dtype != .f32 else { continue }
            let (tensor, wide) = (program.tensors[used], Scratch())
            let count = tensor.elements()
            kernels.table.pointee.dequantise(tensor.dtype.kernelType, try tensor.bytes(), wide.floats(count), count)
            made[used] = wide
        }
        return made
    }

    private static func packedBytes(_ program: ProgramDescription, _ numerics: Numerics) -> Int {
        Set(program.operations.filter { $0.kind == .linear }.map { $0.inputs[1] }).reduce(0) { total, weight in
            let tensor = program.tensors[weight]
            return total + Packing.aligned(PreparedWeight.packedBytes(tensor.dtype.kernelType, inputs: tensor.columns, outputs: tensor.rows, numerics))
        }
    }

    private static func together(_ program: ProgramDescription, _ weights: [PreparedWeight?]) -> [Int] {
        var together = [Int](repeating: 1, count: program.operations.count)
        for index in program.operations.indices.dropLast().reversed() {
            let (op, next) = (program.operations[index], program.operations[index + 1])
            guard let a = weights[index], let b = weights[index + 1], a.form == b.form, op.inputs[0] == next.inputs[0], op.output != next.inputs[0],
                program.tensors[op.output].rowsKind == program.tensors[next.output].rowsKind
            else { continue }
            together[index] = together[index + 1] + 1
        }
        return together.indices.map { $0 > 0 && together[$0 - 1] > 1 ? 0 : together[$0] }
    }
}
