import Driver

/// Foreign stages, bound: C functions from shared libraries that look at text, tokens or logits on their way.
///
/// Signatures, by hook:
/// - tokenize: `i64 f(u8* text, u64 length, i32* ids, u64 capacity)`, the count of ids or a negative error
/// - text_in, text_out: `i32 f(u8* text, u64 length)`, nonzero refuses the text
/// - logits: `i32 f(f32* logits, u64 count, i32* history, u64 history_count)`, changes logits in place; negative fails
public struct ForeignHooks: Sendable {
    public enum Hook: String, Sendable, CaseIterable {
        case tokenize, textIn = "text_in", textOut = "text_out", logits
    }
    private struct Bound: Sendable {
        var stage: String
        var function: ForeignFunction
    }
    private var bound: [Hook: [Bound]] = [:]

    public init() {}

    /// Opens `library` (absolute) and binds its function to `hook`, after those bound before.
    public mutating func bind(stage: String, library: String, signature: String, at hook: Hook) throws(EngineError) {
        do throws(ForeignError) {
            let function = try ForeignFunction(signature, library: library)
            bound[hook, default: []].append(Bound(stage: stage, function: function))
        } catch { throw EngineError(.foreign, "stage \(stage): \(error)") }
    }

    public var replacesTokenizer: Bool { bound[.tokenize] != nil }

    /// The last bound tokenizer's ids for `text`.
    public func tokenize(_ text: String) throws(EngineError) -> [Int32] {
        guard let stage = bound[.tokenize]?.last else { return [] }
        var ids = [Int32](repeating: 0, count: text.utf8.count + 16)
        let bytes = Array(text.utf8)
        let count: Int64 = try run(stage) { (call: inout ForeignCall) throws(ForeignError) in
            try Self.run(&call, Int64.self, bytes, &ids)
        }
        guard count >= 0, count <= ids.count else {
            throw EngineError(.foreign, "stage \(stage.stage): \(stage.function.signature.name) returned \(count) for \(bytes.count) bytes of text")
        }
        return Array(ids.prefix(Int(count)))
    }

    public func guardInput(_ text: String) throws(EngineError) { try guardText(text, .textIn) }
    public func guardOutput(_ text: String) throws(EngineError) { try guardText(text, .textOut) }

    private func guardText(_ text: String, _ hook: Hook) throws(EngineError) {
        for stage in bound[hook] ?? [] {
            let bytes = Array(text.utf8)
            let verdict: Int32 = try run(stage) { (call: inout ForeignCall) throws(ForeignError) in
                try bytes.withUnsafeBufferPointer { (text: UnsafeBufferPointer<UInt8>) throws(ForeignError) in
                    try call.set(address: text.baseAddress, at: 0)
                    try call.set(UInt64(text.count), at: 1)
                    return try call.run(as: Int32.self)
                }
            }
            guard verdict == 0 else {
                throw EngineError(.foreign, "stage \(stage.stage): \(stage.function.signature.name) refused the text (\(verdict))")
            }
        }
    }

    /// Runs every logits filter over `logits` in place.
    func filter(_ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]) throws(EngineError) {
        guard let stages = bound[.logits] else { return }
        for stage in stages {
            var past = history
            let result: Int32 = try run(stage) { (call: inout ForeignCall) throws(ForeignError) in
                try Self.run(&call, Int32.self, logits: logits, history: &past)
            }
            guard result >= 0 else {
                throw EngineError(.foreign, "stage \(stage.stage): \(stage.function.signature.name) failed with \(result)")
            }
        }
    }

    /// (text, length, ids, capacity)
    private static func run<R: ForeignScalar>(
        _ call: inout ForeignCall, _: R.Type, _ text: [UInt8], _ ids: inout [Int32]
    ) throws(ForeignError) -> R {
        try ids.withUnsafeMutableBufferPointer { (ids: inout UnsafeMutableBufferPointer<Int32>) throws(ForeignError) in
            try text.withUnsafeBufferPointer { (text: UnsafeBufferPointer<UInt8>) throws(ForeignError) in
                try call.set(address: text.baseAddress, at: 0)
                try call.set(UInt64(text.count), at: 1)
                try call.set(address: UnsafeRawPointer(ids.baseAddress), at: 2)
                try call.set(UInt64(ids.count), at: 3)
                return try call.run(as: R.self)
            }
        }
    }

    /// (logits, count, history, history_count)
    private static func run<R: ForeignScalar>(
        _ call: inout ForeignCall, _: R.Type, logits: UnsafeMutableBufferPointer<Float>, history: inout [Int32]
    ) throws(ForeignError) -> R {
        try history.withUnsafeMutableBufferPointer { (history: inout UnsafeMutableBufferPointer<Int32>) throws(ForeignError) in
            try call.set(address: UnsafeRawPointer(logits.baseAddress), at: 0)
            try call.set(UInt64(logits.count), at: 1)
            try call.set(address: UnsafeRawPointer(history.baseAddress), at: 2)
            try call.set(UInt64(history.count), at: 3)
            return try call.run(as: R.self)
        }
    }

    private func run<R>(_ stage: Bound, _ body: (inout ForeignCall) throws(ForeignError) -> R) throws(EngineError) -> R {
        do throws(ForeignError) { return try stage.function.withPrepared(body) } catch {
            throw EngineError(.foreign, "stage \(stage.stage): \(error)")
        }
    }
}
