import CDriver
import Crypto
import FoundationEssentials
import Glibc
import Synchronization

/// Writes the calls of a run with what they were passed and what reads and KV exports gave, so that `baton driver replay` can run them on another driver.
///
/// `file`: where to, else `baton-DEVICE.recording`; one for each device. Bytes go to the same name with `.data`. Weights that lie in a file are named by path, range and
/// sha256; other bytes are copied once. What a host writes through a map is not seen, and memory of other kinds than host memory is not followed.
final class RecordLayer: Layer {
    private let place: LayerPlace
    private let file: LayerFile
    private let data: LayerFile
    private let state = Mutex(State())
    private let encoder = Mutex(JSONEncoder())

    private struct Export: @unchecked Sendable {
        var n: Int
        var device: Int
        var timeline: Int
        var value: UInt64
        var memory: UnsafeRawBufferPointer
    }
    private struct State {
        var hasBegun = false
        var n = 0
        var handles: [UInt: Int] = [:]
        var made = 0
        var exports: [Export] = []
        /// By sha256: where bytes lie already.
        var known: [String: UInt64] = [:]
    }

    init(_ name: LayerName, _ place: LayerPlace) throws(DriverError) {
        let parameters = try LayerParameters(name, place, known: ["file"])
        let path = parameters.text("file") ?? "baton-\(place.device).recording"
        try LayerFile.check(path, parameters)
        self.place = place
        file = LayerFile(path)
        data = LayerFile(path + ".data")
    }

    func around(_ call: Call, _ next: NextLayer) -> baton_code {
        let endsLate = [.wait, .read, .open].contains(call.name)
        guard let device = call.device?.number ?? (call.name == .open ? 0 : nil), var line = self.line(call, device, endsLate ? nil : number()) else { return next(call) }
        if call.name.isRelease { return released(call, line, next) }
        let code = next(call)
        if endsLate { line.n = number() }
        line.code = code
        if code == 0 { finish(&line, call) }
        write(line)
        return code
    }

    private func number() -> Int {
        state.withLock { state in
            state.n += 1
            return state.n
        }
    }

    private func id(_ handle: OpaquePointer?) -> Int? {
        guard let handle else { return nil }
        let address = UInt(bitPattern: handle)
        return state.withLock { $0.handles[address] }
    }

    private func made(_ out: Call.Made) -> Int? {
        guard let handle = out?.pointee else { return nil }
        let address = UInt(bitPattern: handle)
        return state.withLock { state in
            state.made += 1
            state.handles[address] = state.made
            return state.made
        }
    }

    /// A release is written before it is made: the address may be another's right after.
    private func released(_ call: Call, _ line: Recording.Line, _ next: NextLayer) -> baton_code {
        write(line)
        switch call.arguments {
        case .releaseBuffer(let handle?), .releaseProgram(let handle?), .releaseTimeline(let handle?), .kvRelease(let handle?):
            let address = UInt(bitPattern: handle)
            state.withLock { _ = $0.handles.removeValue(forKey: address) }
        default: break
        }
        return next(call)
    }

    // MARK: before the call

    /// What is passed; nil for calls that change nothing.
    private func line(_ call: Call, _ device: Int, _ n: Int?) -> Recording.Line? {
        var line = Recording.Line(n: n ?? 0, call: call.name.rawValue, device: device)
        switch call.arguments {
        case .open(let options, _): line.options = DriverOptions(options).pairs.map { Recording.Option(key: $0.key, value: $0.value) }
        case .close: break
        case .quiesce(let timeout): line.numbers = [timeout]
        case .allocate(let length, _): line.numbers = [length]
        case .importMemory(let memory, let access, _):
            line.numbers = [UInt64(access)]
            line.bytes = memory.flatMap { bytes(of: $0.pointee) }
        case .releaseBuffer(let handle), .releaseProgram(let handle), .releaseTimeline(let handle), .kvRelease(let handle): line.on = id(handle)
        case .write(let buffer, let offset, let source, let length):
            (line.on, line.numbers) = (id(buffer), [offset, length])
            line.bytes = kept(UnsafeRawBufferPointer(start: source, count: source == nil ? 0 : Int(length)))
        case .read(let buffer, let offset, _, let length): (line.on, line.numbers) = (id(buffer), [offset, length])
        case .copy(let copy):
            (line.on, line.other, line.sync) = (id(copy.to), id(copy.from), sync(copy.sync))
            line.numbers = [copy.toOffset, copy.fromOffset, copy.length]
        case .compile(let desc, _): line.program = desc.map { Recording.Program($0) { self.id($0) } }
        case .submit(let program, let batch, let sync): (line.on, line.batch, line.sync) = (id(program), batch.map(self.batch), self.sync(sync))
        case .createTimeline(let value, _): line.numbers = [value]
        case .wait(let timeline, let value, _, _), .signal(let timeline, let value): (line.on, line.numbers) = (id(timeline), [value])
        case .fail(let timeline, let reason): (line.on, line.numbers) = (id(timeline), [UInt64(bitPattern: Int64(reason?.pointee.code ?? 2))])
        case .kvCreate(let desc, _): line.pool = desc.map { Recording.Pool($0.pointee) }
        case .kvAdopt(let desc, _, _, _): line.pool = desc.map { Recording.Pool($0.pointee) }
        case .kvExport(let move), .kvImport(let move): transfer(move, call, &line)
        case .kvCopyBlocks(let pool, let from, let to, let count, let sync):
            (line.on, line.sync) = (id(pool), self.sync(sync))
            line.numbers = [from, to].flatMap { UnsafeBufferPointer(start: $0, count: Int(count)).map { UInt64($0) } }
        default: return nil
        }
        return line
    }

    private func transfer(_ move: Call.KVMove, _ call: Call, _ line: inout Recording.Line) {
        (line.on, line.sync, line.layout) = (id(move.pool), sync(move.sync), move.layout.map { Recording.Layout($0.pointee) })
        line.range = move.range.map { range in
            Recording.Range(
                first_layer: range.pointee.first_layer, layer_count: range.pointee.layer_count, token_count: range.pointee.token_count,
                blocks: Self.list(range.pointee.blocks, range.pointee.block_count))
        }
        line.numbers = [move.memory?.pointee.length ?? 0]
        if call.name == .kvImport { line.bytes = move.memory.flatMap { bytes(of: $0.pointee) } }
    }

    private static func list(_ first: UnsafePointer<UInt32>?, _ count: UInt32) -> [UInt32] {
        first.map { Array(UnsafeBufferPointer(start: $0, count: Int(count))) } ?? []
    }

    private func batch(_ source: UnsafePointer<baton_batch>) -> Recording.Batch {
        let raw = source.pointee
        return Recording.Batch(
            tokens: Self.list(raw.tokens, raw.token_count), positions: Self.list(raw.positions, raw.token_count),
            sequences: Self.list(raw.sequences, raw.token_count),
            block_tables: Self.list(raw.block_tables, raw.block_tables == nil ? 0 : raw.sequence_count * raw.block_table_stride), rows: Self.list(raw.rows, raw.row_count),
            sequence_count: raw.sequence_count, block_table_stride: raw.block_table_stride,
            bindings: ContractArray.bindings(source).map { Recording.Binding(tensor: $0.tensor, buffer: id($0.buffer) ?? 0, offset: $0.offset) },
            pool: id(raw.pool), tag: raw.tag)
    }

    private func sync(_ source: UnsafePointer<baton_sync>?) -> Recording.Sync? {
        guard let raw = source?.pointee else { return nil }
        func points(_ first: UnsafePointer<baton_point>?, _ count: UInt32) -> [Recording.Point] {
            UnsafeBufferPointer(start: first, count: first == nil ? 0 : Int(count)).compactMap { point in
                id(point.timeline).map { Recording.Point(timeline: $0, value: point.value) }
            }
        }
        return Recording.Sync(
            waits: points(raw.waits, raw.wait_count), signals: points(raw.signals, raw.signal_count), queue: raw.queue,
            layers: id(raw.layer_timeline).map { Recording.Point(timeline: $0, value: raw.layer_base) })
    }

    // MARK: after the call

    private func finish(_ line: inout Recording.Line, _ call: Call) {
        switch call.arguments {
        case .open: line.made = nil
        case .allocate(_, let out), .importMemory(_, _, let out), .compile(_, let out), .createTimeline(_, let out), .kvCreate(_, let out), .kvAdopt(_, _, _, let out):
            line.made = made(out)
        case .read(_, _, let out, let length): line.bytes = kept(UnsafeRawBufferPointer(start: out, count: out == nil ? 0 : Int(length)))
        case .wait: line.on.map { exported($0, line.numbers?.first ?? 0) }
        case .kvExport(let move): expect(move, line)
        default: break
        }
    }

    /// What an export writes is there when its signal is waited for.
    private func expect(_ move: Call.KVMove, _ line: Recording.Line) {
        guard let memory = move.memory?.pointee, memory.kind == BATON_MEMORY_HOST else { return }
        let bytes = Self.host(memory)
        guard let signal = line.sync?.signals.first else { return write(result(of: line.n, line.device, bytes)) }
        let export = Export(n: line.n, device: line.device, timeline: signal.timeline, value: signal.value, memory: bytes)
        state.withLock { $0.exports.append(export) }
    }

    private func exported(_ timeline: Int, _ value: UInt64) {
        let ready = state.withLock { state -> [Export] in
            let ready = state.exports.filter { $0.timeline == timeline && $0.value <= value }
            state.exports.removeAll { $0.timeline == timeline && $0.value <= value }
            return ready
        }
        for export in ready { write(result(of: export.n, export.device, export.memory)) }
    }

    private func result(of n: Int, _ device: Int, _ bytes: UnsafeRawBufferPointer) -> Recording.Line {
        var line = Recording.Line(n: number(), call: "exported", device: device)
        (line.numbers, line.bytes) = ([UInt64(n)], kept(bytes))
        return line
    }

    // MARK: bytes and lines

    private static func host(_ memory: baton_memory) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: UInt(memory.address &+ memory.offset)), count: Int(memory.length))
    }

    private func bytes(of memory: baton_memory) -> Recording.Bytes? {
        if memory.kind == BATON_MEMORY_HOST { return kept(Self.host(memory)) }
        guard memory.kind == BATON_MEMORY_MEMFD else { return nil }
        let mapped = mmap(nil, Int(memory.offset + memory.length), PROT_READ, MAP_SHARED, Int32(memory.descriptor), 0)
        guard let mapped, mapped != MAP_FAILED else { return nil }
        defer { munmap(mapped, Int(memory.offset + memory.length)) }
        let bytes = UnsafeRawBufferPointer(start: mapped + Int(memory.offset), count: Int(memory.length))
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(memory.descriptor)"), path.hasPrefix("/"), !path.hasPrefix("/memfd:") else {
            return kept(bytes)
        }
        return Recording.Bytes(path: path, offset: memory.offset, length: memory.length, sha256: Self.hash(bytes))
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> String {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return hash.finalize().hex
    }

    /// Copies bytes into the data file, those that are there already not again.
    private func kept(_ bytes: UnsafeRawBufferPointer) -> Recording.Bytes {
        let hash = Self.hash(bytes)
        if let there = state.withLock({ $0.known[hash] }) { return Recording.Bytes(path: nil, offset: there, length: UInt64(bytes.count), sha256: hash) }
        let offset = data.append(bytes)
        state.withLock { $0.known[hash] = offset }
        return Recording.Bytes(path: nil, offset: offset, length: UInt64(bytes.count), sha256: hash)
    }

    private func write(_ line: Recording.Line) {
        let begins = state.withLock { state -> Bool in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
        encoder.withLock { encoder in
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let header = Recording.Header(baton_recording: Recording.version, driver: place.driver, device: place.device)
            if begins, let text = try? encoder.encode(header) { file.append(Array(text) + [UInt8(ascii: "\n")]) }
            if let text = try? encoder.encode(line) { file.append(Array(text) + [UInt8(ascii: "\n")]) }
        }
    }
}
