import CDriver

/// What the host has made on one device and not yet released, as `validate` knows it. A value.
struct LiveObjects: @unchecked Sendable {
    enum Kind: String, CaseIterable { case buffer, program, timeline, pool }

    /// What a program was compiled from, as far as a submit can be held against it.
    struct ProgramFacts {
        struct Port {
            var name: String
            var role: Int32
            var rowElements: Int64
            /// Rows are R rather than T.
            var byRows: Bool
        }
        var maxTokens: UInt32
        var maxSequences: UInt32
        var maxContext: UInt32
        var ports: [UInt32: Port]
        var hasAttention: Bool
    }

    struct Object {
        var kind: Kind
        /// Bytes of a buffer, blocks of a pool, 0 otherwise.
        var extent: UInt64 = 0
        /// Tokens of a pool's block.
        var blockTokens: UInt32 = 0
        /// Of a timeline: the highest value that was signalled or promised.
        var promised: UInt64 = 0
        var hasFailed = false
        var isMapped = false
        var program: ProgramFacts?
        /// The signal of the last queued work that uses it.
        var lastUse: (timeline: OpaquePointer, value: UInt64)?
        /// What made it, for the word on leaks.
        var made: String
    }

    private(set) var objects: [OpaquePointer: Object] = [:]
    var isQuiesced = false

    subscript(_ handle: OpaquePointer, _ kind: Kind) -> Object? {
        get { objects[handle].flatMap { $0.kind == kind ? $0 : nil } }
        set { objects[handle] = newValue }
    }

    func kind(of handle: OpaquePointer) -> Kind? { objects[handle]?.kind }

    mutating func remove(_ handle: OpaquePointer) -> Object? { objects.removeValue(forKey: handle) }

    /// "2 buffers, 1 timeline", and what made the first; nil when nothing is left.
    var leaks: String? {
        let counts = Kind.allCases.compactMap { kind -> String? in
            let count = objects.values.count { $0.kind == kind }
            return count == 0 ? nil : "\(count) \(kind.rawValue)\(count == 1 ? "" : "s")"
        }
        guard !counts.isEmpty, let first = objects.values.map(\.made).min() else { return nil }
        return "\(counts.joined(separator: ", ")), such as the one of \(first)"
    }
}
