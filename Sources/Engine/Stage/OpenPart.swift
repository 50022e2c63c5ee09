import Driver
import Model

/// One device's part of a stage, open and compiled: its layers of the model, its KV pool, its timelines. Used by one thread at a time.
final class OpenPart {
    let device: Device
    let layers: Range<Int>
    let program: Program
    let pool: KVPool
    /// Signalled by each run, in order.
    private(set) var runs: Timeline
    /// Signalled layer by layer in each run.
    private(set) var layerEvents: Timeline
    /// The program's hidden input tensor, if it has one, and its output tensor; f32 elements in a row of each.
    private let input: Int?
    private let output: Int
    private let inputWidth: Int
    let outputWidth: Int
    private let outputIsTokens: Bool
    private let weights: WeightBuffers
    /// Weights lie in the mapped file: it stays mapped as long as the program may read it.
    private let model: ModelFile
    private var inputRows = RowBuffer()
    private var outputRows = RowBuffer()
    private(set) var runValue: UInt64 = 0
    private(set) var layerValue: UInt64 = 0
    /// Failed timelines: copies that wait for them may still be queued, so that the last few are kept.
    private var failed: [Failed] = []

    private final class Failed {
        let timeline: Timeline
        init(_ timeline: consuming Timeline) { self.timeline = timeline }
    }

    /// A buffer for rows of f32, grown when more are wanted.
    private struct RowBuffer {
        final class Box {
            let buffer: Buffer
            init(_ buffer: consuming Buffer) { self.buffer = buffer }
        }
        var box: Box?
        var rows = 0

        mutating func grown(to rows: Int, width: Int, on device: Device) throws(DriverError) -> Box {
            if let box, rows <= self.rows { return box }
            let made = Box(try Buffer(allocating: rows * width * 4, on: device))
            box = made
            self.rows = rows
            return made
        }
    }

    init(
        device: Device, part: PlacedPart, builder: ProgramBuilder, model: ModelFile, weights: WeightBuffers, pool: consuming KVPool,
        progress: (@Sendable (Double) -> Void)?
    ) throws(DriverError) {
        self.program = try Program(compiling: builder, weights: weights, on: device, progress: progress)
        self.runs = try Timeline(on: device)
        self.layerEvents = try Timeline(on: device)
        self.pool = pool
        self.device = device
        self.weights = weights
        self.model = model
        layers = part.layers
        input = part.inputTensor
        output = part.outputTensor
        inputWidth = part.hidden
        outputWidth = part.outputWidth
        outputIsTokens = !part.isLast
    }

    /// Its driver ran in a process of its own, which has ended.
    var isLost: Bool {
        guard device.library.isIsolated else { return false }
        do throws(DriverError) { try device.checkHealth() } catch { return error.code == .unavailable }
        return false
    }

    /// The queue for copies: the second, so that they run beside batches, or the only one.
    var copyQueue: Int { device.info.queueCount > 1 ? 1 : 0 }

    /// A failed timeline stays failed: after a failed run the part goes on with new ones, from the same values.
    func renewTimelines() throws(DriverError) {
        var newRuns = try Timeline(on: device, value: runValue)
        var newLayers = try Timeline(on: device, value: layerValue)
        swap(&runs, &newRuns)
        swap(&layerEvents, &newLayers)
        failed += [Failed(newRuns), Failed(newLayers)]
        if failed.count > 32 { failed.removeFirst(2) }
    }

    /// Puts hidden states [T, hidden] f32 where the next submit takes them from.
    func setInput(_ bytes: UnsafeRawBufferPointer) throws(DriverError) {
        try inputRows.grown(to: bytes.count / (inputWidth * 4), width: inputWidth, on: device).buffer.write(bytes)
    }

    /// Queues a batch and returns the value `runs` reaches when it has run. Does not wait.
    func submit(_ batch: inout Batch) throws(DriverError) -> UInt64 {
        batch.removeBindings()
        if let input {
            let box = try inputRows.grown(to: batch.positions.count, width: inputWidth, on: device)
            batch.bind(input, to: box.buffer)
        }
        let rows = outputIsTokens ? batch.positions.count : batch.rows.count
        if rows > 0 {
            let box = try outputRows.grown(to: rows, width: outputWidth, on: device)
            batch.bind(output, to: box.buffer)
        }
        var sync = Sync(queue: 0)
        sync.signal(runs, runValue + 1)
        sync.signalLayers(layerEvents, base: layerValue)
        try program.submit(batch, pool: pool, sync: sync)
        runValue += 1
        layerValue += UInt64(layers.count)
        return runValue
    }

    /// Reads rows of the last run's output, f32. The run has ended.
    func readOutput(into bytes: UnsafeMutableRawBufferPointer) throws(DriverError) {
        guard let box = outputRows.box else { return }
        try box.buffer.read(into: bytes)
    }

    /// `count` values of the last run's output where the device keeps them, until `unmapOutput`; nil where the host does not see them. The run has ended.
    func mapOutput(count: Int) throws(DriverError) -> UnsafeMutableBufferPointer<Float>? {
        guard let box = outputRows.box, let bytes = try box.buffer.map() else { return nil }
        guard let base = bytes.baseAddress, bytes.count / 4 >= count, UInt(bitPattern: base) % 4 == 0 else {
            box.buffer.unmap()
            return nil
        }
        return UnsafeMutableBufferPointer(start: base.assumingMemoryBound(to: Float.self), count: count)
    }

    func unmapOutput() { outputRows.box?.buffer.unmap() }
}
