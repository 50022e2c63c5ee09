import CPUKernels
import DriverKit

/// Cuts the attention of batches into tasks: some tokens of one sequence and one KV head.
final class Attention: @unchecked Sendable {
    private let kernels: UnsafePointer<cpuk_table>
    private let numerics: Numerics
    private let workers: Int
    private let scratch: [Scratch]
    private var rooms: [UnsafeMutablePointer<Float>] = []
    private let found = Scratch()
    /// Of any layer: heads, q, out and the layer's storage are filled in when it runs.
    private var tasks: [cpuk_attention] = []
    private var parts: [Part] = []
    /// Tasks of more tokens than this compute for longer than they read.
    private static let shortTask: UInt32 = 4

    /// A segment of positions of a task.
    struct Part {
        var task, segment: Int
        /// Where the task's segments lie in `found`.
        var at: Int
    }

    enum Manner {
        /// By the kernel that defines what attention is.
        case plain
        /// Task by task, the longest first: what they compute hides what they read.
        case byTask
        /// Each worker a run of tasks, which memory is asked for ahead.
        case byRun
        /// More workers than tasks: by segments, which are merged.
        case bySegment
    }

    init(kernels: Kernels, numerics: Numerics, workers: Int) {
        self.kernels = kernels.table
        self.numerics = numerics
        self.workers = workers
        scratch = (0..<workers).map { _ in Scratch() }
    }

    /// Not for f32 sums: they take as long as memory does, and asking for so much at once keeps them waiting.
    private var asksAhead: Bool { kernels.pointee.attends_in_bf16 == 1 }

    /// Cuts a batch into tasks and lends them to `body`. A program's attentions differ in their query heads at most; `heads` are the most. Nil where
    /// there is no attention.
    func lend(heads: Int, _ batch: Batch, _ lent: LentBatch, _ kv: KVStorage?, _ body: (AttentionTasks?) -> Void) {
        tasks.removeAll(keepingCapacity: true)
        guard let kv, heads > 0 else { return body(nil) }
        let group = heads / kv.kvHeads
        let isFast = kernels.pointee.attend_fast != nil && (numerics.attendsInBF16 || kernels.pointee.attends_in_bf16 == 0) && kv.headDim % 32 == 0
        makeTasks(batch, lent, kv, limit: Int(isFast ? CPUK_FAST_TOKENS : CPUK_TOKENS))
        rooms.removeAll(keepingCapacity: true)
        for room in scratch { rooms.append(room.floats(cpuk_attention_scratch(kv.headDim, group))) }
        let manner = isFast ? fastManner(batch, group) : .plain
        tasks.withUnsafeBufferPointer { tasks in
            parts.withUnsafeBufferPointer { parts in
                rooms.withUnsafeBufferPointer { rooms in
                    guard let base = rooms.baseAddress else { return }
                    body(
                        AttentionTasks(
                            kernels: kernels, manner: manner, tasks: tasks, parts: parts, asksAhead: asksAhead, scratch: base,
                            found: found.base.assumingMemoryBound(to: Float.self), kv: kv))
                }
            }
        }
    }

    private func fastManner(_ batch: Batch, _ group: Int) -> Manner {
        if tasks.count < 4 * workers, split(batch, group) { return .bySegment }
        let isShort = (tasks.first?.count ?? 0) <= Self.shortTask
        return isShort && tasks.count > workers && asksAhead ? .byRun : .byTask
    }

    /// Those with the most positions first, so that the last to run are short.
    private func makeTasks(_ batch: Batch, _ lent: LentBatch, _ kv: KVStorage, limit: Int) {
        var task = cpuk_attention()
        task.positions = lent.positions
        task.kv_heads = UInt32(kv.kvHeads)
        task.dim = UInt32(kv.headDim)
        task.block_stride = UInt64(kv.blockBytes)
        task.block_tokens = UInt32(kv.blockTokens)
        task.type = kv.type
        for run in batch.runs.reversed() {
            task.table = lent.blockTables.map { $0 + run.sequence * lent.stride }
            for first in stride(from: run.tokens.lowerBound, to: run.tokens.upperBound, by: limit).reversed() {
                task.first = UInt32(first)
                task.count = UInt32(min(limit, run.tokens.upperBound - first))
                for head in 0..<kv.kvHeads {
                    task.kv_head = UInt32(head)
                    tasks.append(task)
                }
            }
        }
    }

    /// Cuts the tasks into segments of positions; false when no task has more than one.
    private func split(_ batch: Batch, _ group: Int) -> Bool {
        parts.removeAll(keepingCapacity: true)
        var at = 0
        for (index, task) in tasks.enumerated() {
            let count = Self.segments(task, batch.positions[Int(task.first + task.count) - 1])
            for segment in 0..<count { parts.append(Part(task: index, segment: segment, at: at)) }
            at += count * cpuk_segment_floats(Int(task.count) * group, Int(task.dim))
        }
        _ = found.floats(at)
        return parts.count > tasks.count
    }

    private static func segments(_ task: cpuk_attention, _ last: UInt32) -> Int { Int(last) / Int(CPUK_SEGMENT) + 1 }
}
