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
}
