import Driver
import Synchronization

/// A stage's parts, in the order of their layers, open on their devices, and which of their KV blocks are free.
/// Every part's pool has the same block indices. Used by one thread at a time, but for `parts`.
final class OpenStage {
    let name: String
    /// Others than before once the stage has been opened anew. Any thread.
    var parts: [OpenPart] { held.withLock { $0 }.parts }
    private let held: Mutex<Held>
    private struct Held: @unchecked Sendable { var parts: [OpenPart] }
    /// Opens parts that were lost anew; nil where no driver of the stage runs in a process of its own.
    private let opener: (([OpenPart]) throws(EngineError) -> [OpenPart])?
    let allocator: BlockAllocator
    /// Tokens of one batch at most.
    let chunk: Int
    private var hidden: [Float] = []
    /// Bytes of hidden states carried through host memory between parts.
    private(set) var hiddenBytes = 0

    init(
        name: String, parts: [OpenPart], allocator: BlockAllocator, chunk: Int, opener: (([OpenPart]) throws(EngineError) -> [OpenPart])? = nil
    ) {
        self.name = name
        held = Mutex(Held(parts: parts))
        self.opener = opener
        self.allocator = allocator
        self.chunk = chunk
    }

    var blockTokens: Int { allocator.blockTokens }
    var vocabulary: Int { parts.last?.outputWidth ?? 0 }

    /// A driver of the stage has gone with its process, and can be had again.
    var isLost: Bool { opener != nil && parts.contains(where: \.isLost) }

    /// Opens what was lost anew: weights are imported and the program compiled again, and KV blocks are empty. Blocks, as the restart policy says.
    func reopen() throws(EngineError) {
        guard let opener else { return }
        let fresh = Held(parts: try opener(parts))
        held.withLock { $0 = fresh }
    }

    /// The events of one batch's runs, one for each part.
    struct Run {
        var events: [Event] = []
        /// When the last part's run ended on the host's clock; nil on a modelled clock.
        var wallEnd: UInt64? { events.last.flatMap { $0.clock == .wall ? $0.end : nil } }
    }

    /// Runs a batch through every part and waits for it. The hidden states between parts go through host memory.
    /// - Parameter submitted: called when a part's run has been queued, before it is waited for, with the part's index and where
    ///   its layer events begin.
    func run(
        _ batch: inout Batch, timeout: UInt64 = .max, submitted: (Int, UInt64) throws(EngineError) -> Void = { _, _ in }
    ) throws(EngineError) -> Run {
        var run = Run()
        let parts = parts
        for (index, part) in parts.enumerated() {
            let base = part.layerValue
            let value: UInt64
            do throws(DriverError) {
                if index > 0 { try carry(from: parts[index - 1], to: part, tokens: batch.positions.count) }
                value = try part.submit(&batch)
            } catch { throw EngineError(error) }
            do throws(EngineError) { try submitted(index, base) } catch {
                do throws(DriverError) { _ = try part.runs.wait(value) } catch { try? part.renewTimelines() }
                throw error
            }
            do throws(DriverError) { run.events.append(try part.runs.wait(value, timeout: timeout)) } catch {
                if error.code != .deadlineExceeded { try? part.renewTimelines() }
                throw EngineError(error)
            }
        }
        return run
    }

    private func carry(from: OpenPart, to: OpenPart, tokens: Int) throws(DriverError) {
        let count = tokens * from.outputWidth
        if hidden.count < count { hidden = [Float](repeating: 0, count: count) }
        let failure: DriverError? = hidden.withUnsafeMutableBytes { bytes in
            let used = UnsafeMutableRawBufferPointer(rebasing: bytes.prefix(count * 4))
            do throws(DriverError) {
                try from.readOutput(into: used)
                try to.setInput(UnsafeRawBufferPointer(used))
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
        hiddenBytes += count * 4
    }

    /// The logits of the last run, [rows][vocabulary], read into `logits`.
    func readLogits(rows: Int, into logits: inout [Float]) throws(EngineError) {
        guard let last = parts.last else { return }
        let count = rows * last.outputWidth
        if logits.count != count { logits = [Float](repeating: 0, count: count) }
        // A read that says OK and gives nothing is told apart from logits: one that is not a number is no logit.
        for row in 0..<rows { logits[row * last.outputWidth] = .nan }
        let failure: DriverError? = logits.withUnsafeMutableBytes { bytes in
            do throws(DriverError) {
                try last.readOutput(into: bytes)
                return nil
            } catch { return error }
        }
        if let failure { throw EngineError(failure) }
    }

    /// Lends `body` the logits of the last run, [rows][vocabulary], to change as it likes: where the device keeps them if the host sees its memory,
    /// else read into `spare`.
    func withLogits<R>(
        rows: Int, _ spare: inout [Float], _ body: (UnsafeMutableBufferPointer<Float>) throws(EngineError) -> R
    ) throws(EngineError) -> R {
        guard let last = parts.last, let mapped = try Self.mapped(last, rows) else {
            try readLogits(rows: rows, into: &spare)
            return try spare.withUnsafeMutableBufferPointer { (all: inout UnsafeMutableBufferPointer<Float>) throws(EngineError) in try body(all) }
        }
        defer {
            // A next run that says OK and writes nothing is told apart, as in `readLogits`.
            for row in 0..<rows { mapped[row * last.outputWidth] = .nan }
            last.unmapOutput()
        }
        return try body(mapped)
    }

    private static func mapped(_ part: OpenPart, _ rows: Int) throws(EngineError) -> UnsafeMutableBufferPointer<Float>? {
        do throws(DriverError) { return try part.mapOutput(count: rows * part.outputWidth) } catch { throw EngineError(error) }
    }
}
