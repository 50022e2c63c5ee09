/// The rules of a program's graph: indices, order, made once, and the shapes of each kind of operation.
struct ProgramRules {
    private let tensors: [ProgramDescription.Tensor]
    private var made: [Bool]
    private var lastAttention = -1
    private var vocabulary: Int?
    private var needsPool = false
    private typealias Operation = ProgramDescription.Operation

    static func check(_ program: inout ProgramDescription) throws(DriverFailure) {
        var rules = ProgramRules(tensors: program.tensors)
        for (index, operation) in program.operations.enumerated() {
            do throws(DriverFailure) {
                try rules.check(operation, program)
            } catch {
                throw DriverFailure(error.code, "operation \(index) (\(operation.kind)): \(error.message)")
            }
        }
        for (tensor, isMade) in zip(program.tensors, rules.made) where tensor.role == .output && !isMade {
            throw .invalid("output '\(tensor.name)' is made by no operation; make it, or leave it out")
        }
        for tensor in program.tensors where tensor.role != .weight {
            let (elements, overflow) = tensor.columns.multipliedReportingOverflow(by: max(program.maxTokens, 1))
            guard !overflow, elements < Int.max / 4 else { throw .invalid("tensor '\(tensor.name)' is larger than memory can be") }
        }
        program.vocabulary = rules.vocabulary
        program.needsPool = rules.needsPool
        program.boundTensors = program.tensors.indices.filter { [.input, .output].contains(program.tensors[$0].role) }
    }

    private init(tensors: [ProgramDescription.Tensor]) {
        self.tensors = tensors
        made = tensors.map { $0.role == .weight || $0.role == .input }
    }

    private mutating func check(_ op: Operation, _ program: ProgramDescription) throws(DriverFailure) {
        for input in op.inputs {
            guard tensors.indices.contains(input) else { throw .invalid("input \(input) is not one of \(tensors.count) tensors") }
            guard made[input] else { throw .invalid("input '\(tensors[input].name)' is not made yet; order operations after those that make their inputs") }
        }
        guard tensors.indices.contains(op.output) else { throw .invalid("output \(op.output) is not one of \(tensors.count) tensors") }
        let output = tensors[op.output]
        guard output.role == .activation || output.role == .output else { throw .invalid("writes '\(output.name)', which is a weight or an input") }
        guard !made[op.output] else { throw .invalid("makes '\(output.name)' again; each activation is made once") }
        guard op.layer == -1 || (op.layer >= program.firstLayer && op.layer < program.firstLayer + program.layerCount) else {
            throw .invalid("layer \(op.layer) is outside \(program.firstLayer)..<\(program.firstLayer + program.layerCount)")
        }
        try shapes(op, program)
        made[op.output] = true
    }

    private mutating func shapes(_ op: Operation, _ program: ProgramDescription) throws(DriverFailure) {
        switch op.kind {
        case .embed: try embed(op)
        case .rmsNorm: try norm(op)
        case .linear: try linear(op)
        case .rope: try rope(op)
        case .attention: try attention(op, program)
        case .swiglu:
            try count(op, 2...2)
            try same(try data(op, 0), try data(op, 1))
            try gives(op, tensors[op.inputs[0]].shape)
        case .add, .mul: try pointwise(op)
        case .scale:
            try count(op, 1...1)
            guard op.scale.isFinite else { throw .invalid("scale is \(op.scale); give a finite number") }
            try gives(op, try data(op, 0).shape)
        case .softcap:
            try count(op, 1...1)
            guard op.cap.isFinite, op.cap > 0 else { throw .invalid("cap is \(op.cap); give a number above 0") }
            try gives(op, try data(op, 0).shape)
        case .selectRows:
            try count(op, 1...1)
            let x = try data(op, 0)
            guard x.shape.count == 2, x.shape[0] == .tokens else { throw .invalid("'\(x.name)' is \(words(x)); rows are selected from [T, D]") }
            try gives(op, [.rows, x.shape[1]])
        }
    }

    private mutating func embed(_ op: Operation) throws(DriverFailure) {
        try count(op, 1...1)
        let table = try weight(op, 0, rank: 2)
        let rows = table.shape[0].count(tokens: 0, rows: 0)
        vocabulary = min(vocabulary ?? rows, rows)
        try gives(op, [.tokens, table.shape[1]])
    }

    private func norm(_ op: Operation) throws(DriverFailure) {
        try count(op, 2...2)
        let x = try data(op, 0)
        let gain = try weight(op, 1, rank: 1)
        guard gain.columns == x.columns else {
            throw .invalid("'\(gain.name)' is \(words(gain)) for '\(x.name)' \(words(x)); their last dimensions must agree")
        }
        guard op.epsilon.isFinite, op.epsilon >= 0 else { throw .invalid("epsilon is \(op.epsilon); give a number from 0") }
        try gives(op, x.shape)
    }

    private func linear(_ op: Operation) throws(DriverFailure) {
        try count(op, 2...3)
        let x = try data(op, 0)
        let matrix = try weight(op, 1, rank: 2)
        guard x.shape.count == 2, matrix.columns == x.columns else {
            throw .invalid("'\(matrix.name)' is \(words(matrix)) for '\(x.name)' \(words(x)); [O, I] for [N, I]")
        }
        if op.inputs.count == 3 {
            let bias = try weight(op, 2, rank: 1)
            guard bias.shape[0] == matrix.shape[0] else { throw .invalid("bias '\(bias.name)' is \(words(bias)) for '\(matrix.name)' \(words(matrix))") }
        }
        try gives(op, [x.shape[0], matrix.shape[0]])
    }

    private func rope(_ op: Operation) throws(DriverFailure) {
        try count(op, 1...1)
        let x = try heads(op, 0, op.heads, op.headDim)
        guard op.ropeDims > 0, op.ropeDims % 2 == 0, op.ropeDims <= op.headDim else {
            throw .invalid("turns \(op.ropeDims) of \(op.headDim) elements a head; give an even count up to the head's")
        }
        guard op.ropeStyle != nil else { throw .invalid("has an unknown rope style; use 1 or 2") }
        guard op.ropeBase.isFinite, op.ropeBase > 0, op.ropeScale.isFinite else {
            throw .invalid("base \(op.ropeBase) and scale \(op.ropeScale); give a base above 0 and a finite scale")
        }
        try gives(op, x.shape)
    }

    private mutating func attention(_ op: Operation, _ program: ProgramDescription) throws(DriverFailure) {
        try count(op, 3...3)
        guard op.kvHeads > 0, op.heads % op.kvHeads == 0 else {
            throw .invalid("\(op.heads) heads over \(op.kvHeads) KV heads; the second must divide the first")
        }
        let q = try heads(op, 0, op.heads, op.headDim)
        _ = try heads(op, 1, op.kvHeads, op.headDim)
        _ = try heads(op, 2, op.kvHeads, op.headDim)
        guard op.kvHeads == program.kvHeads, op.headDim == program.headDim else {
            throw .invalid("\(op.kvHeads) KV heads of \(op.headDim) in a program of \(program.kvHeads) of \(program.headDim); they must agree")
        }
        guard op.layer > lastAttention else { throw .invalid("layer \(op.layer) comes after layer \(lastAttention); each layer attends once, in order") }
        guard op.scale.isFinite, op.cap.isFinite, op.cap >= 0 else { throw .invalid("scale \(op.scale) and cap \(op.cap); give finite numbers, cap from 0") }
        lastAttention = op.layer
        needsPool = true
        try gives(op, q.shape)
    }

    private func pointwise(_ op: Operation) throws(DriverFailure) {
        try count(op, 2...2)
        let a = try data(op, 0)
        let b = tensors[op.inputs[1]]
        guard b.shape == a.shape || (b.shape.count == 1 && b.columns == a.columns) else {
            throw .invalid("'\(a.name)' is \(words(a)) and '\(b.name)' is \(words(b)); give [N, D] and [N, D] or [D]")
        }
        try gives(op, a.shape)
    }

    private func count(_ op: Operation, _ wanted: ClosedRange<Int>) throws(DriverFailure) {
        guard wanted.contains(op.inputs.count) else {
            let words = wanted.count == 1 ? "\(wanted.lowerBound)" : "\(wanted.lowerBound) to \(wanted.upperBound)"
            throw .invalid("has \(op.inputs.count) inputs; give \(words)")
        }
    }

    private func data(_ op: Operation, _ index: Int) throws(DriverFailure) -> ProgramDescription.Tensor {
        let tensor = tensors[op.inputs[index]]
        guard tensor.role != .weight else { throw .invalid("input \(index) is the weight '\(tensor.name)'; it must be computed or bound") }
        return tensor
    }

    private func weight(_ op: Operation, _ index: Int, rank: Int) throws(DriverFailure) -> ProgramDescription.Tensor {
        let tensor = tensors[op.inputs[index]]
        guard tensor.role == .weight, tensor.shape.count == rank else {
            throw .invalid("input \(index) is '\(tensor.name)', \(tensor.role) \(words(tensor)); it must be a weight of rank \(rank)")
        }
        return tensor
    }

    private func heads(_ op: Operation, _ index: Int, _ heads: Int, _ dim: Int) throws(DriverFailure) -> ProgramDescription.Tensor {
        let tensor = try data(op, index)
        let (width, overflow) = heads.multipliedReportingOverflow(by: dim)
        guard heads > 0, dim > 0, !overflow, tensor.shape == [.tokens, .fixed(width)] else {
            throw .invalid("'\(tensor.name)' is \(words(tensor)); \(heads) heads of \(dim) need [T, heads * head_dim]")
        }
        return tensor
    }

    private func same(_ a: ProgramDescription.Tensor, _ b: ProgramDescription.Tensor) throws(DriverFailure) {
        guard a.shape == b.shape else { throw .invalid("'\(a.name)' is \(words(a)) and '\(b.name)' is \(words(b)); they must agree") }
    }

    private func gives(_ op: Operation, _ shape: [ProgramDescription.Dimension]) throws(DriverFailure) {
        let output = tensors[op.output]
        guard output.shape == shape else { throw .invalid("gives \(words(shape)) and '\(output.name)' is \(words(output))") }
    }

    private func words(_ tensor: ProgramDescription.Tensor) -> String { words(tensor.shape) }

    private func words(_ shape: [ProgramDescription.Dimension]) -> String {
        let dims = shape.map { dimension in
            switch dimension {
            case .fixed(let count): "\(count)"
            case .tokens: "T"
            case .rows: "R"
            }
        }
        return "[\(dims.joined(separator: ", "))]"
    }
}
