/// What a child is told first: which driver it is for, and how far it may go. Goes over the wire.
package struct ChildSetup: Sendable {
    package var path: String
    package var search: DriverSearch
    /// What drivers that it opens must show.
    package var trust: TrustPolicy
    /// Whether the library is looked for by its path too, where libraries lie beside it.
    package var mayNeedFilesBeside: Bool
    package var workers: Int
    /// As of the host's pool: see `WorkerPool`.
    package var givesWay: Bool
    package var isFenced: Bool
    /// Bytes; 0 without a bound.
    package var memoryBytes: UInt64
    package var processors: UInt32
    package var processorSeconds: UInt64

    package init(
        path: String, search: DriverSearch, trust: TrustPolicy = TrustPolicy(), workers: Int, givesWay: Bool = false, mayNeedFilesBeside: Bool = false, isFenced: Bool = true, memoryBytes: UInt64 = 0, processors: UInt32 = 0, processorSeconds: UInt64 = 0
    ) {
        (self.path, self.search, self.trust, self.workers, self.givesWay) = (path, search, trust, workers, givesWay)
        (self.mayNeedFilesBeside, self.isFenced) = (mayNeedFilesBeside, isFenced)
        (self.memoryBytes, self.processors, self.processorSeconds) = (memoryBytes, processors, processorSeconds)
    }

    package func put(to writer: inout WireWriter) {
        writer.put(path)
        for list in [search.folders, search.added, search.disable] { Self.put(list, to: &writer) }
        for list in [search.files, search.select] {
            writer.put(list != nil)
            Self.put(list ?? [], to: &writer)
        }
        writer.put(trust.require.rawValue)
        Self.put(trust.keys.map(\.description), to: &writer)
        writer.put(UInt32(clamping: workers))
        writer.put(givesWay)
        writer.put(mayNeedFilesBeside)
        writer.put(isFenced)
        writer.put(memoryBytes)
        writer.put(processors)
        writer.put(processorSeconds)
    }

    package init(from reader: inout WireReader) throws(WireError) {
        path = try reader.takeText()
        search = DriverSearch(folders: try Self.list(&reader), added: try Self.list(&reader), disable: try Self.list(&reader))
        let hasFiles = try reader.takeFlag()
        let files = try Self.list(&reader)
        let hasSelection = try reader.takeFlag()
        let select = try Self.list(&reader)
        search.files = hasFiles ? files : nil
        search.select = hasSelection ? select : nil
        guard let require = TrustPolicy.Requirement(rawValue: try reader.takeText()) else { throw WireError("an unknown requirement of trust") }
        trust = TrustPolicy(require: require, keys: try Self.list(&reader).compactMap { TrustKey($0) })
        workers = Int(try reader.take(UInt32.self))
        givesWay = try reader.takeFlag()
        mayNeedFilesBeside = try reader.takeFlag()
        isFenced = try reader.takeFlag()
        memoryBytes = try reader.take()
        processors = try reader.take()
        processorSeconds = try reader.take()
        try reader.end()
        guard path.hasPrefix("/"), (1...1_024).contains(workers) else { throw WireError("the driver \(ForeignText.quoted(path)) and \(workers) workers") }
    }

    private static func put(_ list: [String], to writer: inout WireWriter) {
        writer.put(UInt32(list.count))
        for text in list { writer.put(text) }
    }

    private static func list(_ reader: inout WireReader) throws(WireError) -> [String] {
        var list: [String] = []
        for _ in 0..<(try reader.takeCount(of: 4, limit: 4_096)) { list.append(try reader.takeText()) }
        return list
    }
}
