import DriverKit
import Glibc
import Synchronization

/// Has the system make the pages of a large mapping shortly before they are used, on a thread of its own at the lowest priority. Otherwise the batch that
/// is the first to write to a large page waits for it, milliseconds where the machine is a virtual one.
///
/// Nothing happens before `threshold` bytes are in use, and what is made ahead is in proportion, so that a short run has the memory that it uses and no more.
/// Who will use the whole mapping says so with `all`.
final class PagesAhead: Sendable {
    private let start: UInt
    private let count: Int
    /// What keeps the mapping for as long as a piece of work is about.
    private let owner: any AnyObject & Sendable
    private let made = Atomic<Int>(0)
    private let stop = Stop()
    private let thread = SubmissionQueue(depth: 2)

    private final class Stop: Sendable { let isSet = Atomic<Bool>(false) }

    private static let threshold = 4 << 20
    private static let distance = 64 << 20
    private static let piece = 2 << 20

    init(base: UnsafeMutableRawPointer, count: Int, owner: any AnyObject & Sendable) {
        start = UInt(bitPattern: base)
        self.count = count
        self.owner = owner
    }

    /// The first `bytes` are in use. Returns at once.
    func reached(_ bytes: Int) {
        guard bytes >= Self.threshold else { return }
        make(from: bytes, to: min(count, bytes + min(Self.distance, 2 * bytes)))
    }

    /// The whole mapping will be in use. Returns at once.
    func all() { make(from: 0, to: count) }

    private func make(from first: Int, to: Int) {
        let from = max(made.load(ordering: .relaxed), first)
        guard to - from >= Self.piece else { return }
        // What cannot be queued now is asked for again with the next batch.
        guard (try? thread.enqueue(waits: [], work: { [start, owner, stop] () throws(DriverFailure) in
            let began = Clock.now()
            withExtendedLifetime(owner) { Self.make(start, from..<to) { stop.isSet.load(ordering: .relaxed) } }
            return Times.wall(since: began)
        }, signals: [])) != nil else { return }
        made.store(to, ordering: .relaxed)
    }

    deinit { stop.isSet.store(true, ordering: .relaxed) }

    /// Piece by piece, so that a batch that makes a page itself waits for one piece at most. A refusal changes nothing: pages are then made as they are used.
    private static func make(_ start: UInt, _ bytes: Range<Int>, isOver: () -> Bool) {
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        for from in stride(from: bytes.lowerBound, to: bytes.upperBound, by: piece) where !isOver() {
            let begin = (start + UInt(from)) / page * page
            let end = start + UInt(min(from + piece, bytes.upperBound))
            madvise(UnsafeMutableRawPointer(bitPattern: begin), Int(end - begin), 23 /* MADV_POPULATE_WRITE */)
        }
    }
}
