import CPUKernels
import DriverKit

/// What workers go through together: plain pointers, valid while the batch runs. Where cores count references to one object, its cache line goes from
/// one to the other each time.
struct Way: @unchecked Sendable {
    let steps: UnsafeBufferPointer<Step>
    let together: UnsafeBufferPointer<Int>
    let units: UnsafeBufferPointer<Workspace.Unit>
    var work: RowWork
    let kv: KVStorage?
    let attention: AttentionTasks?
    unowned(unsafe) let workspace: Workspace
    /// Of one worker, in a workspace of few rows.
    var own: OwnRows?

    var tokens: Int { work.batch.count }
    func rows(_ step: Step) -> Int { step.rows.count(tokens: tokens, rows: work.batch.rows.count) }

    /// Asks memory for what the steps after a unit are and add: it was read a whole batch ago, and weights have gone through the caches since.
    @inline(__always)
    func askAhead(of unit: Workspace.Unit) {
        for index in unit.steps {
            if index + 8 < steps.count, let base = steps.baseAddress { cpuk_ask_for(base + index + 8, MemoryLayout<Step>.stride) }
            if index + 4 < steps.count, let floats = steps[index + 4].floats { cpuk_ask_for(floats, steps[index + 4].inColumns * 4) }
        }
    }
}
