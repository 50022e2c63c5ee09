/// A description without weights may state any sizes: sums and products stop at `Int.max`.
extension ProgramDescription {
    /// Elements of all weights.
    public var weightElements: Int { tensors.reduce(0) { $1.role == .weight ? Self.sum($0, $1.elements()) : $0 } }

    /// Floats in a row of the widest few activations: what liveness leaves alive at once.
    public var activationWidth: Int { tensors.filter { $0.role == .activation }.map(\.columns).sorted().suffix(6).reduce(0, Self.sum) }

    /// Floating-point operations of a run, a multiply-add counted as two: linear operations by the rows that meet them, and attention's two
    /// products over the context. Elementwise operations are left out; they are under one percent.
    public func flops(_ work: Work) -> Int { Self.sum(layerFlops(work), headFlops(work)) }

    /// Those inside the layers.
    public func layerFlops(_ work: Work) -> Int { operations.reduce(0) { $1.layer >= 0 ? Self.sum($0, flops($1, work)) : $0 } }
    /// Those after them.
    public func headFlops(_ work: Work) -> Int { operations.reduce(0) { $1.layer < 0 ? Self.sum($0, flops($1, work)) : $0 } }

    private func flops(_ operation: Operation, _ work: Work) -> Int {
        switch operation.kind {
        case .linear:
            let isRows = tensors[operation.output].shape.first == .rows
            return Self.product(2, isRows ? work.rowCount : work.tokenCount, tensors[operation.inputs[1]].elements())
        case .attention: return Self.product(4, operation.heads, operation.headDim, work.contextTokens)
        default: return 0
        }
    }

    /// Bytes of KV that one token of context takes in all the program's layers.
    public func kvBytesPerToken(_ dtype: DType) -> Int {
        Self.product(layerCount, 2, kvHeads, headDim, dtype.blockBytes)
    }

    static func sum(_ a: Int, _ b: Int) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }

    /// Of counts, none below 0.
    static func product(_ factors: Int...) -> Int {
        factors.contains(0)
            ? 0
            : factors.reduce(1) { product, factor in
                let (next, overflow) = product.multipliedReportingOverflow(by: factor)
                return overflow ? .max : next
            }
    }
}
