extension ProgramDescription {
    /// Elements of all weights.
    public var weightElements: Int { tensors.reduce(0) { $1.role == .weight ? $0 + $1.elements() : $0 } }

    /// Floats in a row of the widest few activations: what liveness leaves alive at once.
    public var activationWidth: Int { tensors.filter { $0.role == .activation }.map(\.columns).sorted().suffix(6).reduce(0, +) }

    /// Floating-point operations of a run, a multiply-add counted as two: linear operations by the rows that meet them, and attention's two
    /// products over the context. Elementwise operations are left out; they are under one percent.
    public func flops(_ work: Work) -> Int { layerFlops(work) + headFlops(work) }

    /// Those inside the layers.
    public func layerFlops(_ work: Work) -> Int { operations.reduce(0) { $1.layer >= 0 ? $0 + flops($1, work) : $0 } }
    /// Those after them.
    public func headFlops(_ work: Work) -> Int { operations.reduce(0) { $1.layer < 0 ? $0 + flops($1, work) : $0 } }

    private func flops(_ operation: Operation, _ work: Work) -> Int {
        switch operation.kind {
        case .linear:
            let isRows = tensors[operation.output].shape.first == .rows
            return 2 * (isRows ? work.rowCount : work.tokenCount) * tensors[operation.inputs[1]].elements()
        case .attention: return 4 * operation.heads * operation.headDim * work.contextTokens
        default: return 0
        }
    }

    /// Bytes of KV that one token of context takes in all the program's layers.
    public func kvBytesPerToken(_ dtype: DType) -> Int { layerCount * 2 * kvHeads * headDim * dtype.blockBytes }
}
