import DriverKit
import Synchronization

extension Host {
    /// Calls `body` with each of `0..<count` and the worker that it runs on; returns when all are done. A worker takes the next index when it is done with
    /// one: for work of uneven length, the longest first.
    func each(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
        let taken = Atomic<Int>(0)
        parallelFor(min(workerCount, count), grain: 1) { _, _, worker in
            while true {
                let index = taken.add(1, ordering: .relaxed).oldValue
                guard index < count else { break }
                body(index, worker)
            }
        }
    }
}
