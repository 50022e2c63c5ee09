import Driver

/// A stage's parts, in the order of their layers, open on their devices, and which of their KV blocks are free.
/// Every part's pool has the same block indices. Used by one thread at a time.
final class OpenStage {
    let name: String
    let parts: [OpenPart]
    let allocator: BlockAllocator
    /// Tokens of one batch at most.
    let chunk: Int
    private var hidden: [Float] = []
    /// Bytes of hidden states carried through host memory between parts.
    private(set) var hiddenBytes = 0

    init(name: String, parts: [OpenPart], allocator: BlockAllocator, chunk: Int) {
        self.name = name
        self.parts = parts
        self.allocator = allocator
        self.chunk = chunk
    }

    var blockTokens: Int { allocator.blockTokens }
    var vocabulary: Int { parts.last?.outputWidth ?? 0 }

    /// The events of one batch's runs, one for each part.
    struct Run {
        var events: [Event] = []
    }

    /// Runs a batch through every part and waits for it. The hidden states between parts go through host memory.
    /// - Parameter submitted: called when a part's run has been queued, before it is waited for, with the part's index and where
    ///   its layer events begin.
    func run(
        _ batch: inout Batch, timeout: UInt64 = .max, submitted: (Int, UInt64) throws(EngineError) -> Void = { _, _ in }
    ) throws(EngineError) -> Run {
        var run = Run()
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
}
