import CPUKernels

/// The weights that each worker will read next, for one that has to wait: it asks memory for them, which is idle then.
final class WeightsAhead: @unchecked Sendable {
    /// What a worker will read of a linear operation, about.
    struct Share {
        let base: UnsafeRawPointer
        let bytes: Int
    }

    /// [linear operation][worker]
    private let shares: UnsafeMutableBufferPointer<Share>
    /// For each step, the first of `shares` of the linear operation that is run at it or next after it; -1 after the last.
    private let first: UnsafeMutableBufferPointer<Int>
    /// What is asked for at most: the second cache holds that and more.
    private static let most = 128 << 10
    private static let piece = 1024

    /// `together`: how many steps from each on run as one.
    init(_ steps: [Step], together: [Int], workers: Int) {
        var found: [Share] = []
        var first = [Int](repeating: -1, count: steps.count + 1)
        for index in steps.indices.reversed() {
            first[index] = first[index + 1]
            let weights = steps[index..<index + together[index]].compactMap(\.weight).filter { $0.panelBytes > 0 }
            guard !weights.isEmpty else { continue }
            first[index] = found.count
            found += (0..<workers).map { Self.share(weights, $0, of: workers) }
        }
        self.first = .lasting(first)
        shares = .lasting(found)
    }

    deinit {
        first.deallocate()
        shares.deallocate()
    }

    private static func share(_ weights: [PreparedWeight], _ worker: Int, of workers: Int) -> Share {
        let total = weights.reduce(0) { $0 + $1.panelCount }
        var panel = total * worker / workers
        let bytes = total * (worker + 1) / workers - panel
        for weight in weights {
            if panel < weight.panelCount {
                return Share(base: weight.base + panel * weight.panelBytes, bytes: min(most, min(bytes, weight.panelCount - panel) * weight.panelBytes))
            }
            panel -= weight.panelCount
        }
        return Share(base: weights[0].base, bytes: 0)
    }

    /// One worker's asking, while the plan is kept: plain pointers.
    struct Asker: Waiting {
        /// The KV that it asks for while it multiplies; null where there is none.
        var kv: UnsafeMutablePointer<cpuk_ask>?
        private let shares: UnsafeMutableBufferPointer<Share>
        private let first: UnsafeMutableBufferPointer<Int>
        private let worker: Int
        private var row = -1
        private var at = 0

        fileprivate init(_ ahead: WeightsAhead, worker: Int) { (shares, first, self.worker) = (ahead.shares, ahead.first, worker) }

        /// What to ask for from now on: the linear operation at `step`, or next after it.
        mutating func aim(_ step: Int) {
            let found = first[step]
            if found != row { (row, at) = (found, 0) }
        }

        /// Asks for some more of it.
        @inline(__always)
        mutating func wait() { if !ask(WeightsAhead.piece) { cpuk_relax() } }

        /// Asks for so many bytes more of it, before something short that needs no memory; false where all is asked for.
        @inline(__always)
        @discardableResult
        mutating func ask(_ bytes: Int) -> Bool {
            guard row >= 0 else { return false }
            let share = shares[row + worker]
            guard at < share.bytes else { return false }
            cpuk_ask_for(share.base + at, min(bytes, share.bytes - at))
            at += bytes
            return true
        }
    }

    func asker(_ worker: Int) -> Asker { Asker(self, worker: worker) }
}
