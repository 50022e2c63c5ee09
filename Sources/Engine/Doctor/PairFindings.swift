public import Driver

/// How KV gets from one device to another, and how fast, measured with pools of the doctor's own.
public struct PairFindings: Sendable, Encodable {
    public enum Way: String, Sendable, Encodable {
        /// The other device adopts the pool: no byte moves.
        case direct
        /// Exported and imported in one layout.
        case imported = "import"
        /// Converted in host memory between export and import.
        case staged
    }
    /// Bytes a second of one leg.
    public struct Leg: Sendable, Encodable {
        public var leg: String
        public var bytesPerSecond: Double
        public var clock: String
    }
    public var from: String
    public var to: String
    public var way: Way?
    public var fromLayout: String?
    public var toLayout: String?
    /// "permute+cast", or "identity".
    public var conversion: String?
    public var bytes: Int
    /// Wall and modelled apart; a device model's legs have both.
    public var legs: [Leg]
    public var remark: String?

    /// The KV that is moved: 8 layers of 8 heads of 64, 512 tokens.
    private static let layers = 8
    private static let tokens = 512

    public init(measuring from: Device, to: Device) {
        (self.from, self.to) = (from.label, to.label)
        (legs, bytes) = ([], 0)
        do throws(DriverError) { try measure(from, to) } catch { remark = error.detail }
    }

    private static func pool(on device: Device, blockTokens: Int? = nil) -> KVPoolDescription {
        let block = blockTokens ?? device.info.kvBlockTokens
        return KVPoolDescription(
            dtype: device.info.kvDType, blockCount: (tokens + block - 1) / block, blockTokens: block, layers: 0..<layers, kvHeads: 8, headDim: 64)
    }

    private mutating func measure(_ from: Device, _ to: Device) throws(DriverError) {
        let (out, into) = (Self.pool(on: from), Self.pool(on: to))
        let exports = try from.library.layouts(of: out, importing: false, options: from.options)
        let imports = try to.library.layouts(of: into, importing: true, options: to.options)
        let plan: HandoffPlan
        do throws(EngineError) { plan = try HandoffPlan(exports: exports, imports: imports) } catch {
            throw DriverError(.unimplemented, driver: to.library.name, call: "handoff", detail: error.description)
        }
        (fromLayout, toLayout) = (plan.from.description, plan.to.description)
        conversion = plan.conversion.isEmpty ? "identity" : plan.description
        bytes = plan.wireBytes(tokens: Self.tokens, layers: Self.layers)
        way = plan.conversion.isEmpty ? .imported : .staged
        let source = try KVPool(creating: out, on: from)
        if from.library === to.library, plan.conversion.isEmpty, (try? KVPool(adopting: source, as: out, on: to)) != nil { way = .direct }
        let target = try KVPool(creating: into, on: to)
        try move(plan, source, target)
    }

    private mutating func move(_ plan: HandoffPlan, _ source: borrowing KVPool, _ target: borrowing KVPool) throws(DriverError) {
        let (wire, arriving) = (bytes, plan.importBytes(tokens: Self.tokens, layers: Self.layers))
        let sent = try HostRegion(count: wire)
        let received = try HostRegion(count: arriving)
        let outRange = KVRange(layers: 0..<Self.layers, blocks: (0..<UInt32(source.description.blockCount)).map { $0 }, tokens: Self.tokens)
        let inRange = KVRange(layers: 0..<Self.layers, blocks: (0..<UInt32(target.description.blockCount)).map { $0 }, tokens: Self.tokens)
        let exported = try Timeline(on: source.device)
        let imported = try Timeline(on: target.device)
        var best: [String: UInt64] = [:]
        func keep(_ key: String, _ nanoseconds: UInt64) { best[key] = min(best[key] ?? .max, max(1, nanoseconds)) }
        for round in 1...UInt64(3) {
            var sync = Sync(queue: source.device.info.queueCount - 1)
            sync.signal(exported, round)
            var start = WallClock.now
            try source.export(outRange, as: plan.from, to: .host(sent.base, count: wire), sync: sync)
            let left = try exported.wait(round, timeout: 30_000_000_000)
            keep("export wall", WallClock.now - start)
            if left.clock == .modelled { keep("export modelled", left.nanoseconds) }
            start = WallClock.now
            if !plan.conversion.isEmpty {
                KVConversion(from: plan.from, to: plan.to).run(UnsafeRawBufferPointer(sent.bytes), to: received.bytes, layers: Self.layers, tokens: Self.tokens)
                keep("convert wall", WallClock.now - start)
            }
            sync = Sync(queue: target.device.info.queueCount - 1)
            sync.signal(imported, round)
            start = WallClock.now
            try target.import(inRange, as: plan.to, from: .host(plan.conversion.isEmpty ? sent.base : received.base, count: arriving), sync: sync)
            let arrived = try imported.wait(round, timeout: 30_000_000_000)
            keep("import wall", WallClock.now - start)
            if arrived.clock == .modelled { keep("import modelled", arrived.nanoseconds) }
        }
        for key in ["export wall", "convert wall", "import wall", "export modelled", "import modelled"] {
            guard let time = best[key] else { continue }
            let words = key.split(separator: " ").map(String.init)
            legs.append(Leg(leg: words[0], bytesPerSecond: Double(words[0] == "import" ? arriving : wire) / Double(time) * 1e9, clock: words[1]))
        }
    }
}
