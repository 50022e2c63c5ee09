/// What work takes on a modelled device. Pure: no state, no device. Times are modelled, never measured.
public protocol DeviceClock: Sendable {
    /// One batch. OUT_OF_RANGE for a shape the device refuses. `padded` counts the tokens computed, padding included.
    func run(_ shape: ProgramShape, _ work: Work) throws(DriverFailure) -> Cost
    /// KV leaving or entering the device, `work.bytes` in `work.pieceCount` pieces.
    func transfer(_ work: Work) -> Cost
}

/// The sizes of a program that times and memory follow from, gathered once.
public struct ProgramShape: Sendable, Hashable {
    public var layers: Int
    /// Floating-point operations of linear for each token, and for each wanted row; a multiply-add is two.
    public var flopsPerToken = 0
    public var flopsPerRow = 0
    /// Those of both that come after the layers, such as the head that gives logits.
    public var tailFlopsPerToken = 0
    public var tailFlopsPerRow = 0
    /// Of attention, for each (token, KV token attended to) pair, all layers: 4 x heads x head_dim each.
    public var flopsPerContextToken = 0
    /// Elements of all weights, and of those a batch reads whole (an embedding is only looked up in).
    public var weightElements = 0
    public var streamedElements = 0
    /// 16-bit elements: K and V of one token, all layers.
    public var kvElementsPerToken: Int
    /// Bytes of activations the largest batch keeps, f32.
    public var workspaceBytes: Int

    public init(_ program: ProgramDescription) {
        layers = program.layerCount
        kvElementsPerToken = Self.product([program.layerCount, 2, program.kvHeads, program.headDim])
        let widths = program.tensors.filter { $0.role == .activation }.map(\.columns).sorted()
        workspaceBytes = Self.product([widths.suffix(6).reduce(0, Self.sum), max(1, program.maxTokens), 4])
        for tensor in program.tensors where tensor.role == .weight { weightElements = Self.sum(weightElements, tensor.elements()) }
        count(program)
    }

    private mutating func count(_ program: ProgramDescription) {
        var embedded = Set<Int>()
        var read = Set<Int>()
        for op in program.operations {
            switch op.kind {
            case .embed: embedded.formUnion(op.inputs)
            case .linear:
                let flops = Self.product([2, program.tensors[op.inputs[1]].elements()])
                let tail = op.layer < 0 ? flops : 0
                if program.tensors[op.output].shape.first == .rows {
                    flopsPerRow = Self.sum(flopsPerRow, flops)
                    tailFlopsPerRow = Self.sum(tailFlopsPerRow, tail)
                } else {
                    flopsPerToken = Self.sum(flopsPerToken, flops)
                    tailFlopsPerToken = Self.sum(tailFlopsPerToken, tail)
                }
                read.formUnion(op.inputs)
            case .attention: flopsPerContextToken = Self.sum(flopsPerContextToken, Self.product([4, op.heads, op.headDim]))
            default: read.formUnion(op.inputs)
            }
        }
        let unread = embedded.subtracting(read).reduce(0) { Self.sum($0, program.tensors[$1].elements()) }
        streamedElements = weightElements - min(unread, weightElements)
    }

    /// Operations of a batch of `tokens`, which may include padding; attention is charged for padding in proportion.
    public func flops(_ work: Work, tokens: Int) -> Double {
        let context = Double(work.contextTokens) * Double(tokens) / Double(max(1, work.tokenCount))
        return Double(tokens) * Double(flopsPerToken) + Double(work.rowCount) * Double(flopsPerRow) + context * Double(flopsPerContextToken)
    }

    /// The part of a batch that is over when the last layer is.
    func layerShare(_ work: Work) -> Double {
        let all = flops(work, tokens: work.tokenCount)
        let tail = Double(work.tokenCount) * Double(tailFlopsPerToken) + Double(work.rowCount) * Double(tailFlopsPerRow)
        return all > 0 ? max(0, 1 - tail / all) : 1
    }

    /// Bytes a batch moves through the device's memory: weights once, the KV of each sequence once, the batch's own KV written; 16-bit elements.
    public func movedBytes(_ work: Work, tokens: Int) -> Double {
        // A sequence of t tokens that ends at context c sums to about t x (c - t / 2): its KV is read once for the whole batch.
        let perSequence = Double(work.tokenCount) / Double(max(1, work.sequenceCount))
        let contexts = Double(work.contextTokens) / max(1, perSequence) + Double(work.tokenCount) / 2
        return 2 * (Double(streamedElements) + (contexts + Double(tokens)) * Double(kvElementsPerToken))
    }

    /// Bytes of the weights held in 16 bits.
    public var residentBytes: Int { Self.product([weightElements, 2]) }

    static func product(_ factors: [Int]) -> Int {
        factors.reduce(1) { total, factor in
            let (value, overflow) = total.multipliedReportingOverflow(by: factor)
            return overflow ? .max : value
        }
    }

    static func sum(_ a: Int, _ b: Int) -> Int {
        let (value, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : value
    }
}

extension Cost {
    /// A modelled cost of so many seconds; what does not fit in 64 bits is as long as can be said.
    public static func modelled(seconds: Double, flops: Double = 0, bytes: Double = 0, padded: Int = 0) -> Cost {
        Cost(
            .modelled, nanoseconds: whole(seconds * 1e9), flops: whole(flops), bytes: whole(bytes), padded: UInt64(clamping: padded))
    }

    private static func whole(_ value: Double) -> UInt64 { value.isFinite && value > 0 ? UInt64(min(value.rounded(), 9e18)) : 0 }
}
