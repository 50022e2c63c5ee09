import CPUKernels
import DriverKit

/// Attention of a batch over the layers of a pool, as the workers of a team run it: tasks of some tokens of one sequence and one KV head.
final class Attention: @unchecked Sendable {
    private let kernels: UnsafePointer<cpuk_table>
    private let numerics: Numerics
    private let workers: Int
    private let scratch: [Scratch]
    private let found = Scratch()
    /// Of any layer: heads, q, out and the layer's storage are filled in when it runs.
    private var tasks: [cpuk_attention] = []
    private var parts: [Part] = []
    private var manner = Manner.plain
    /// Tasks of more tokens than this compute for longer than they read.
    private static let fewTokens: UInt32 = 4

    /// A segment of positions of a task.
    private struct Part {
        var task, segment: Int
        /// Where the task's segments lie in `found`.
        var at: Int
    }

    private enum Manner {
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

    /// Asks memory for a task's KV while another runs. Not for f32 sums: they take as long as memory does, and asking for so much at once keeps them waiting.
    private var askAhead: ((UnsafePointer<cpuk_attention>?, UInt32) -> Void)? {
        kernels.pointee.attends_in_bf16 == 1 ? kernels.pointee.attend_ask : nil
    }

    /// Cuts a batch into tasks, before workers begin. A program's attentions differ in their query heads at most; `heads` are the most.
    func begin(heads: Int, _ batch: Batch, _ lent: LentBatch, _ pool: Pool?) {
        tasks.removeAll(keepingCapacity: true)
        guard let pool, heads > 0 else { return }
        let d = pool.description
        let group = heads / d.kvHeads
        let isFast = kernels.pointee.attend_fast != nil && (numerics.attendsInBF16 || kernels.pointee.attends_in_bf16 == 0) && d.headDim % 32 == 0
        makeTasks(batch, lent, pool, limit: Int(isFast ? CPUK_FAST_TOKENS : CPUK_TOKENS))
        for room in scratch { _ = room.floats(cpuk_attention_scratch(d.headDim, group)) }
        manner = isFast ? fastManner(batch, group) : .plain
    }

    private func fastManner(_ batch: Batch, _ group: Int) -> Manner {
        if tasks.count < 4 * workers, split(batch, group) { return .bySegment }
        let isShort = (tasks.first?.count ?? 0) <= Self.fewTokens
        return isShort && tasks.count > workers && askAhead != nil ? .byRun : .byTask
    }

    /// Those with the most positions first, so that the last to run are short.
    private func makeTasks(_ batch: Batch, _ lent: LentBatch, _ pool: Pool, limit: Int) {
        let d = pool.description
        var task = cpuk_attention()
        task.positions = lent.positions
        task.kv_heads = UInt32(d.kvHeads)
        task.dim = UInt32(d.headDim)
        task.block_stride = UInt64(pool.blockBytes)
        task.block_tokens = UInt32(d.blockTokens)
        task.type = d.dtype.kernelType
        for run in batch.runs.reversed() {
            task.table = lent.blockTables.map { $0 + run.sequence * lent.stride }
            for first in stride(from: run.tokens.lowerBound, to: run.tokens.upperBound, by: limit).reversed() {
                task.first = UInt32(first)
                task.count = UInt32(min(limit, run.tokens.upperBound - first))
                for head in 0..<d.kvHeads {
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

    /// q and out: [tokens][heads * headDim]. K and V of the batch are in `pool`. One worker's way through it.
    func run(
        _ step: Step, _ q: UnsafePointer<Float>, _ pool: Pool, _ out: UnsafeMutablePointer<Float>, _ member: inout Member
    ) {
        let (room, layer) = (scratch[member.worker].base.assumingMemoryBound(to: Float.self), pool.layer(max(0, step.layer)))
        func filled(_ task: cpuk_attention) -> cpuk_attention {
            var task = task
            (task.q, task.out, task.scratch, task.layer) = (q, out, room, UnsafePointer(layer.assumingMemoryBound(to: UInt8.self)))
            (task.heads, task.scale, task.cap, task.window) = (UInt32(step.heads), step.scale, step.cap, UInt32(step.window))
            return task
        }
        tasks.withUnsafeBufferPointer { tasks in
            let attend = manner == .plain ? kernels.pointee.attend : kernels.pointee.attend_fast
            switch manner {
            case .plain, .byTask:
                member.each(tasks.count) { index in
                    var task = filled(tasks[index])
                    attend?(&task)
                }
            case .byRun:
                member.share(tasks.count) { begin, end in
                    for index in begin..<end {
                        if index + 1 < end {
                            var next = filled(tasks[index + 1])
                            askAhead?(&next, 0)
                        }
                        var task = filled(tasks[index])
                        attend?(&task)
                    }
                }
            case .bySegment: runParts(tasks, filled, &member)
            }
        }
    }

    private func runParts(
        _ tasks: UnsafeBufferPointer<cpuk_attention>, _ filled: (cpuk_attention) -> cpuk_attention, _ member: inout Member
    ) {
        let found = found.base.assumingMemoryBound(to: Float.self)
        parts.withUnsafeBufferPointer { parts in
            member.share(parts.count) { begin, end in
                for index in begin..<end {
                    let part = parts[index]
                    var task = filled(tasks[part.task])
                    if index + 1 < end, parts[index + 1].task != part.task {
                        var next = filled(tasks[parts[index + 1].task])
                        askAhead?(&next, UInt32(parts[index + 1].segment))
                    }
                    let each = cpuk_segment_floats(Int(task.count * task.heads / task.kv_heads), Int(task.dim))
                    kernels.pointee.attend_segment(&task, UInt32(part.segment), found + part.at + part.segment * each)
                }
            }
            member.each(parts.count) { index in
                let part = parts[index]
                guard index + 1 == parts.count || parts[index + 1].task != part.task else { return }
                var task = filled(tasks[part.task])
                kernels.pointee.attend_merge(&task, UInt32(part.segment + 1), found + part.at)
            }
        }
    }
}
