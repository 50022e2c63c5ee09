import CDriver
import Crypto
import Glibc

/// Runs the calls of a recording on another driver, one after another, and holds what reads and KV exports give against what was recorded.
/// Blocks. Uses one thread, and the driver's own.
public final class Replay {
    public struct Settings: Sendable {
        /// Two numbers agree when they differ by no more than `absolute + relative * |recorded|`.
        public var absolute = 0.05
        public var relative = 0.02
        /// Of the device; nil for those that were recorded, as far as the driver knows them.
        public var options: DriverOptions?
        public init() {}
    }

    /// Where the driver first gave something else.
    public struct Divergence: Sendable, Encodable {
        /// The call's number in the recording.
        public var call: Int
        public var name: String
        /// The operation or the layers that what differs comes from.
        public var operation: String
        public var element: String
        public var recorded: String
        public var found: String
    }

    public struct Report: Sendable, Encodable {
        public var recorded_driver, driver: String
        public var calls = 0
        /// Reads and exports held against each other, their elements, and the greatest difference of two.
        public var compared = 0
        public var elements = 0
        public var largest_difference = 0.0
        public var differing_elements = 0
        public var first_divergence: Divergence?
        /// What could not be compared, and why.
        public var notes: [String] = []
    }

    private let recording: Recording
    private let library: DriverLibrary
    private let settings: Settings
    private var report: Report
    private var devices: [Int: OpaquePointer] = [:]
    private var opened: [OpaquePointer] = []
    private var handles: [Int: OpaquePointer] = [:]
    private var programs: [Int: Recording.Program] = [:]
    /// By buffer: which tensor of which program was last written there.
    private var outputs: [Int: (program: Recording.Program, tensor: Int)] = [:]
    private var pools: [Int: Recording.Pool] = [:]
    private var exports: [Int: Export] = [:]
    private var files: [String: UnsafeRawBufferPointer] = [:]
    private static let patience: UInt64 = 300_000_000_000

    private struct Export {
        var region: UnsafeMutableRawBufferPointer
        var line: Recording.Line
    }

    public init(reading path: String, on library: DriverLibrary, settings: Settings = Settings()) throws(DriverError) {
        recording = try Recording(reading: path)
        self.library = library
        self.settings = settings
        report = Report(recorded_driver: recording.header.driver, driver: library.name)
    }

    deinit {
        for export in exports.values { export.region.deallocate() }
        for file in files.values { munmap(UnsafeMutableRawPointer(mutating: file.baseAddress), file.count) }
    }

    /// Runs it all. Errors: a file that is gone or changed. What the driver refuses is the first divergence and ends the replay.
    public func run() throws(DriverError) -> Report {
        defer { end() }
        for line in recording.lines {
            report.calls += 1
            do throws(DriverError) { try step(line) } catch {
                guard error.call != "replay" else { throw error }
                if line.code != 0 { continue }
                diverge(line, operation: "the call itself", element: "-", recorded: "OK", found: "\(error.code): \(error.detail)")
                return report
            }
            if line.code != 0, line.call != CallName.wait.rawValue { report.notes.append("call \(line.n), \(line.call), failed when it was recorded and does not now") }
        }
        return report
    }

    private func end() {
        for device in opened {
            _ = library.device.quiesce?(device, 5_000_000_000, nil)
            library.device.close?(device)
        }
        opened = []
    }

    private func diverge(_ line: Recording.Line, operation: String, element: String, recorded: String, found: String) {
        guard report.first_divergence == nil else { return }
        report.first_divergence = Divergence(call: line.n, name: line.call, operation: operation, element: element, recorded: recorded, found: found)
    }

    // MARK: one call

    private func step(_ line: Recording.Line) throws(DriverError) {
        guard let name = CallName(rawValue: line.call) else { return try exported(line) }
        if name == .open { return try open(line) }
        let device = try self.device(line.device)
        switch name {
        case .quiesce: _ = library.device.quiesce?(device, Self.patience, nil)
        case .close: break
        case .allocate: try make(line, "allocate", library.buffer.allocate) { $0(device, line.numbers?.first ?? 0, $1, $2) }
        case .importMemory: try importMemory(line, device)
        case .releaseBuffer: if let handle = handles.removeValue(forKey: line.on ?? 0) { library.buffer.release?(device, handle) }
        case .releaseProgram: if let handle = handles.removeValue(forKey: line.on ?? 0) { library.program.release?(device, handle) }
        case .releaseTimeline: if let handle = handles.removeValue(forKey: line.on ?? 0) { library.timeline.release?(device, handle) }
        case .kvRelease: if let handle = handles.removeValue(forKey: line.on ?? 0) { library.kv?.release?(device, handle) }
        case .write: try write(line, device)
        case .read: try read(line, device)
        case .compile: try compile(line, device)
        case .submit: try submit(line, device)
        case .createTimeline: try make(line, "timeline create", library.timeline.create) { $0(device, line.numbers?.first ?? 0, $1, $2) }
        case .wait: try wait(line, device)
        case .signal:
            let (signal, timeline) = (try slot(library.timeline.signal, library.name, "signal"), try handle(line.on, line))
            try contractCall(library.name, "signal") { signal(device, timeline, line.numbers?.first ?? 0, $0) }
        case .kvCreate, .kvAdopt: try createPool(line, device)
        case .kvExport, .kvImport, .kvCopyBlocks: try moveKV(name, line, device)
        case .copy: try copy(line, device)
        default: break
        }
    }

    private func device(_ number: Int) throws(DriverError) -> OpaquePointer {
        if let there = devices[number] { return there }
        guard devices.count < opened.count else { throw Recording.wrong("the recording", "uses a device that it does not open; record from the start of a run") }
        let device = opened[devices.count]
        devices[number] = device
        return device
    }

    private func handle(_ number: Int?, _ line: Recording.Line) throws(DriverError) -> OpaquePointer {
        guard let handle = handles[number ?? 0] else { throw Recording.wrong("call \(line.n), \(line.call)", "uses what the recording does not make; record from the start of a run") }
        return handle
    }

    private func make<F>(
        _ line: Recording.Line, _ call: StaticString, _ function: F?, _ body: (F, UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<baton_status>) -> baton_code
    ) throws(DriverError) {
        let function = try slot(function, library.name, call)
        var out: OpaquePointer?
        try contractCall(library.name, call) { status in withUnsafeMutablePointer(to: &out) { body(function, $0, status) } }
        if let made = line.made { handles[made] = out }
    }

    private func open(_ line: Recording.Line) throws(DriverError) {
        let known = Set(library.options.map(\.name))
        let recorded = (line.options ?? []).filter { known.contains($0.key) }.map { ($0.key, $0.value) }
        opened.append(try library.openRaw(settings.options ?? DriverOptions(recorded)))
    }

    private func importMemory(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        guard let bytes = line.bytes else { throw Recording.wrong("call \(line.n), import_memory", "was given memory that is not in the recording") }
        let found = try self.bytes(bytes)
        guard let base = found.baseAddress else { return }
        var memory = MemoryName.host(base, count: found.count).raw
        let access = UInt32(line.numbers?.first ?? 1)
        try make(line, "import_memory", library.buffer.import_memory) { function, out, status in function(device, &memory, access, out, status) }
    }

    private func write(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        let (write, buffer) = (try slot(library.buffer.write, library.name, "write"), try handle(line.on, line))
        guard let place = line.bytes, let numbers = line.numbers, numbers.count == 2 else { return }
        let bytes = try self.bytes(place)
        try contractCall(library.name, "write") { write(device, buffer, numbers[0], bytes.baseAddress, numbers[1], $0) }
    }

    private func copy(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        let copy = try slot(library.buffer.copy, library.name, "copy")
        let (to, from) = (try handle(line.on, line), try handle(line.other, line))
        guard let n = line.numbers, n.count == 3 else { return }
        try withSync(line.sync, line) { sync throws(DriverError) in try contractCall(library.name, "copy") { copy(device, to, n[0], device, from, n[1], n[2], sync, $0) } }
    }

    private func compile(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        guard let program = line.program, let (builder, buffers) = program.builder() else { throw Recording.wrong("call \(line.n), compile", "has no program") }
        var weights: [OpaquePointer] = []
        for buffer in buffers { weights.append(try handle(buffer, line)) }
        let function = try slot(library.program.compile, library.name, "compile")
        var out: OpaquePointer?
        try contractCall(library.name, "compile") { status in builder.withContract(handles: weights) { function(device, $0, &out, status) } }
        if let made = line.made {
            handles[made] = out
            programs[made] = program
        }
    }

    private func submit(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        guard let given = line.batch else { return }
        let (function, program) = (try slot(library.program.submit, library.name, "submit"), try handle(line.on, line))
        var batch = Batch()
        (batch.tokens, batch.positions, batch.sequences, batch.rows) = (given.tokens, given.positions, given.sequences, given.rows)
        (batch.blockTables, batch.blockTableStride) = (given.block_tables, Int(given.block_table_stride))
        (batch.sequenceCount, batch.tag) = (Int(given.sequence_count), given.tag)
        for binding in given.bindings {
            batch.bind(Int(binding.tensor), to: try handle(binding.buffer, line), at: binding.offset)
            if let compiled = programs[line.on ?? 0] { outputs[binding.buffer] = (compiled, Int(binding.tensor)) }
        }
        let pool = try given.pool.map { number throws(DriverError) in try handle(number, line) }
        let failure: DriverError? = batch.withContract(pool: pool) { batch in
            do throws(DriverError) {
                try withSync(line.sync, line) { sync throws(DriverError) in try contractCall(library.name, "submit") { function(device, program, batch, sync, $0) } }
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private func wait(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        guard line.code == 0 else { return }
        try wait(on: try handle(line.on, line), line.numbers?.first ?? 0, device)
    }

    private func wait(on timeline: OpaquePointer, _ value: UInt64, _ device: OpaquePointer) throws(DriverError) {
        let function = try slot(library.timeline.wait, library.name, "wait")
        var event = baton_event.sized()
        try contractCall(library.name, "wait") { function(device, timeline, value, Self.patience, &event, $0) }
    }

    private func withSync(_ sync: Recording.Sync?, _ line: Recording.Line, _ body: (UnsafePointer<baton_sync>?) throws(DriverError) -> Void) throws(DriverError) {
        guard let sync else { return try body(nil) }
        var made = Sync(queue: 0)
        for point in sync.waits { made.waits.append(baton_point(timeline: try handle(point.timeline, line), value: point.value)) }
        for point in sync.signals { made.signals.append(baton_point(timeline: try handle(point.timeline, line), value: point.value)) }
        if let layers = sync.layers { made.layers = baton_point(timeline: try handle(layers.timeline, line), value: layers.value) }
        let queues = (try? library.describe(settings.options ?? [:]).queueCount) ?? 1
        made.queue = min(Int(sync.queue), max(queues, 1) - 1)
        let failure: DriverError? = made.withContract { pointer in
            do throws(DriverError) {
                try body(pointer)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    // MARK: KV

    private func createPool(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        guard let kv = library.kv, let pool = line.pool else { throw DriverError(.unimplemented, driver: library.name, call: "kv", detail: "the driver has no \(BATON_KV_INTERFACE)") }
        if line.call == CallName.kvAdopt.rawValue { report.notes.append("call \(line.n): a pool that was adopted is one of its own here") }
        var raw = pool.raw
        let info = try library.describe(settings.options ?? [:])
        if !info.kvDTypes.contains(DType(rawValue: raw.dtype)) { raw.dtype = info.kvDType.rawValue }
        try make(line, "kv create", kv.create) { function, out, status in function(device, &raw, out, status) }
        if let made = line.made { pools[made] = pool }
    }

    private func moveKV(_ name: CallName, _ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        guard let kv = library.kv else { return }
        let pool = try handle(line.on, line)
        if name == .kvCopyBlocks {
            let (copy, all) = (try slot(kv.copy_blocks, library.name, "kv copy_blocks"), (line.numbers ?? []).map { UInt32(truncatingIfNeeded: $0) })
            let (from, to) = (Array(all.prefix(all.count / 2)), Array(all.suffix(all.count / 2)))
            return try withSync(line.sync, line) { sync throws(DriverError) in
                try contractCall(library.name, "kv copy_blocks") { copy(device, pool, from, to, UInt32(from.count), sync, $0) }
            }
        }
        guard let layout = line.layout, let given = line.range, let length = line.numbers?.first else { return }
        let range = KVRange(layers: Int(given.first_layer)..<Int(given.first_layer) + Int(given.layer_count), blocks: given.blocks, tokens: Int(given.token_count))
        let function = try slot(name == .kvExport ? kv.export_range : kv.import_range, library.name, "kv move")
        let region = UnsafeMutableRawBufferPointer.allocate(byteCount: max(Int(length), 1), alignment: 64)
        if let bytes = line.bytes { region.copyMemory(from: UnsafeRawBufferPointer(rebasing: try self.bytes(bytes).prefix(region.count))) } else { region.initializeMemory(as: UInt8.self, repeating: 0) }
        exports[line.n] = Export(region: region, line: line)
        guard let base = region.baseAddress else { return }
        var memory = MemoryName.host(base, count: Int(length)).raw
        var raw = layout.raw
        do throws(DriverError) {
            try withSync(line.sync, line) { sync throws(DriverError) in
                try contractCall(library.name, "kv move") { status in range.withContract { function(device, pool, $0, &raw, &memory, sync, status) } }
            }
        } catch {
            guard name == .kvExport, error.code == .invalidArgument || error.code == .unimplemented else { throw error }
            exports.removeValue(forKey: line.n)?.region.deallocate()
            report.notes.append("call \(line.n), \(line.call), cannot be compared: \(error.detail)")
            try signalInstead(line, device)
        }
    }

    /// An export that this driver does not do: what waits for it goes on.
    private func signalInstead(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        let signal = try slot(library.timeline.signal, library.name, "signal")
        for point in line.sync?.signals ?? [] {
            let timeline = try handle(point.timeline, line)
            try contractCall(library.name, "signal") { signal(device, timeline, point.value, $0) }
        }
    }

    // MARK: comparison

    private func read(_ line: Recording.Line, _ device: OpaquePointer) throws(DriverError) {
        let (function, buffer) = (try slot(library.buffer.read, library.name, "read"), try handle(line.on, line))
        guard let numbers = line.numbers, numbers.count == 2, let place = line.bytes else { return }
        let region = UnsafeMutableRawBufferPointer.allocate(byteCount: max(Int(numbers[1]), 1), alignment: 64)
        defer { region.deallocate() }
        try contractCall(library.name, "read") { function(device, buffer, numbers[0], region.baseAddress, numbers[1], $0) }
        let output = outputs[line.on ?? 0]
        let tensor = output.map { $0.program.tensors[$0.tensor] }
        let width = max(1, Int(tensor?.dims.last ?? 1))
        let operation = output.map { found in
            let op = found.program.operations.last { Int($0.output) == found.tensor }
            return "\(op.map { "operation \($0.kind), layer \($0.layer), " } ?? "")tensor \(tensor?.name ?? "?")"
        }
        compare(line, UnsafeRawBufferPointer(region), try bytes(place), .f32, operation: operation ?? "a buffer") { "row \($0 / width), element \($0 % width)" }
    }

    private func exported(_ line: Recording.Line) throws(DriverError) {
        guard let number = line.numbers?.first, let export = exports.removeValue(forKey: Int(number)), let layout = export.line.layout, let place = line.bytes else { return }
        defer { export.region.deallocate() }
        if let signal = export.line.sync?.signals.first { try wait(on: try handle(signal.timeline, line), signal.value, try device(line.device)) }
        let range = export.line.range
        let extents: [UInt8: Int] = [
            1: Int(range?.layer_count ?? 0), 2: range?.blocks.count ?? 0, 3: 2, 4: Int(layout.kv_heads), 5: Int(layout.block_tokens), 6: Int(layout.head_dim),
        ]
        let names: [UInt8: String] = [1: "layer", 2: "block", 3: "plane", 4: "head", 5: "token", 6: "dim"]
        compare(
            export.line, UnsafeRawBufferPointer(export.region), try bytes(place), DType(rawValue: layout.dtype),
            operation: "KV of layers \(range?.first_layer ?? 0)..<\((range?.first_layer ?? 0) + (range?.layer_count ?? 0))"
        ) { index in
            var (rest, words) = (index, [String]())
            for axis in layout.axes.reversed() {
                let extent = max(1, extents[axis] ?? 1)
                words.append("\(names[axis] ?? "?") \(rest % extent + (axis == 1 ? Int(range?.first_layer ?? 0) : 0))")
                rest /= extent
            }
            return words.reversed().joined(separator: ", ")
        }
    }

    private func compare(
        _ line: Recording.Line, _ found: UnsafeRawBufferPointer, _ recorded: UnsafeRawBufferPointer, _ dtype: DType, operation: String, place: (Int) -> String
    ) {
        guard let size = Numbers.bytes(of: dtype) else { return report.notes.append("call \(line.n): elements of \(dtype) are not compared") }
        report.compared += 1
        for index in 0..<min(found.count, recorded.count) / size {
            let (a, b) = (Numbers.read(recorded, index, dtype), Numbers.read(found, index, dtype))
            report.elements += 1
            let difference = abs(a - b)
            if difference > report.largest_difference { report.largest_difference = difference }
            guard !(difference <= settings.absolute + settings.relative * abs(a)), !(a.isNaN && b.isNaN), a != b else { continue }
            report.differing_elements += 1
            diverge(line, operation: operation, element: place(index), recorded: "\(a)", found: "\(b)")
        }
    }

    // MARK: bytes

    /// Bytes of the recording. A file other than the recording's own is held against its sha256.
    private func bytes(_ place: Recording.Bytes) throws(DriverError) -> UnsafeRawBufferPointer {
        let path = place.path ?? recording.dataPath
        let isNew = files[path] == nil
        let whole = try mapped(path)
        let (end, overflow) = place.offset.addingReportingOverflow(place.length)
        guard !overflow, end <= UInt64(whole.count) else { throw Recording.wrong(path, "ends before byte \(end), which the recording names; it is not the file that was recorded") }
        let bytes = UnsafeRawBufferPointer(rebasing: whole[Int(place.offset)..<Int(end)])
        if place.path != nil, isNew, let wanted = place.sha256 {
            var hash = SHA256()
            hash.update(bufferPointer: bytes)
            guard hash.finalize().hex == wanted else { throw Recording.wrong(path, "has another sha256 than when it was recorded; give the same file") }
        }
        return bytes
    }

    private func mapped(_ path: String) throws(DriverError) -> UnsafeRawBufferPointer {
        if let there = files[path] { return there }
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Recording.wrong(path, "cannot be read: \(String(cString: strerror(errno))); it belongs to the recording") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Recording.wrong(path, "cannot be read") }
        let count = Int(status.st_size)
        guard count > 0, let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let bytes = UnsafeRawBufferPointer(start: base, count: count)
        files[path] = bytes
        return bytes
    }
}

/// Elements of the plain float types as numbers.
enum Numbers {
    static func bytes(of dtype: DType) -> Int? { [.f32: 4, .f16: 2, .bf16: 2][dtype] }

    static func read(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ dtype: DType) -> Double {
        switch dtype {
        case .f32: Double(bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self))
        case .bf16: Double(Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)) << 16))
        default: half(bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
        }
    }

    private static func half(_ bits: UInt16) -> Double {
        let (sign, exponent, fraction) = (bits >> 15 == 1 ? -1.0 : 1.0, Int(bits >> 10 & 31), Double(bits & 1023))
        switch exponent {
        case 0: return sign * fraction * 0x1p-24
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * (1 + fraction / 1024) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
        }
    }
}
