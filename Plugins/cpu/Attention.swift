import CPUKernels
import DriverKit

/// Attention of a batch over a layer of a pool: tasks of some tokens of one sequence and one KV head, over the worker pool.
final class Attention: @unchecked Sendable {
    private let kernels: Kernels
    private let numerics: Numerics
    private let host: Host
    private let scratch = Scratch()
    private let found = Scratch()
    private var tasks: [cpuk_attention] = []
    private var parts: [(task: Int, segment: Int, count: Int, at: Int)] = []

    init(kernels: Kernels, numerics: Numerics, host: Host) {
        self.kernels = kernels
        self.numerics = numerics
        self.host = host
    }

    /// q and out: [tokens][heads * headDim]. K and V of the batch are in the pool already.
    func run(
        _ op: Step, _ q: UnsafePointer<Float>, _ batch: Batch, _ pool: Pool, _ layer: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        let isFast = kernels.table.pointee.attend_fast != nil && (numerics.attendsInBF16 || kernels.table.pointee.attends_in_bf16 == 0) && op.headDim % 32 == 0
        batch.positions.withUnsafeBufferPointer { positions in
            batch.blockTables.withUnsafeBufferPointer { tables in
                makeTasks(op, batch, pool, layer, limit: Int(isFast ? CPUK_FAST_TOKENS : CPUK_TOKENS), q, out, positions.baseAddress, tables.baseAddress)
                let each = cpuk_attention_scratch(op.headDim, op.heads / op.kvHeads)
                let room = scratch.floats(each * host.workerCount)
                if isFast, tasks.count < 4 * host.workerCount, split(batch, op) { runParts(op, room, each) } else { runTasks(isFast, room, each) }
            }
        }
    }

    /// Those with the most positions first, so that the last to run are short.
    private func makeTasks(
        _ op: Step, _ batch: Batch, _ pool: Pool, _ layer: Int, limit: Int, _ q: UnsafePointer<Float>,
        _ out: UnsafeMutablePointer<Float>, _ positions: UnsafePointer<UInt32>?, _ tables: UnsafePointer<UInt32>?
    ) {
        let d = pool.description
        var task = cpuk_attention()
        task.q = q
        task.out = out
        task.positions = positions
        task.heads = UInt32(op.heads)
        task.kv_heads = UInt32(op.kvHeads)
        task.dim = UInt32(op.headDim)
        task.layer = UnsafePointer(pool.layer(layer).assumingMemoryBound(to: UInt8.self))
        task.block_stride = UInt64(pool.blockBytes)
        task.block_tokens = UInt32(d.blockTokens)
        task.type = d.dtype.kernelType
        task.scale = op.scale
        task.cap = op.cap
        task.window = UInt32(op.window)
        tasks.removeAll(keepingCapacity: true)
        for run in batch.runs.reversed() {
            task.table = tables.map { $0 + run.sequence * batch.blockTableStride }
            for first in stride(from: run.tokens.lowerBound, to: run.tokens.upperBound, by: limit).reversed() {
                task.first = UInt32(first)
                task.count = UInt32(min(limit, run.tokens.upperBound - first))
                for head in 0..<op.kvHeads {
                    task.kv_head = UInt32(head)
                    tasks.append(task)
                }
            }
        }
    }

    /// Asks memory for a task's KV while another runs. Not for f32 sums: they take as long as memory does, and asking for so much at once keeps them waiting.
    private var askAhead: ((UnsafePointer<cpuk_attention>?, UInt32) -> Void)? {
        kernels.table.pointee.attends_in_bf16 == 1 ? kernels.table.pointee.attend_ask : nil
    }

    private func runTasks(_ isFast: Bool, _ room: UnsafeMutablePointer<Float>, _ each: Int) {
        let attend = isFast ? kernels.table.pointee.attend_fast : kernels.table.pointee.attend
        nonisolated(unsafe) let room = room
        tasks.withUnsafeBufferPointer { tasks in
            nonisolated(unsafe) let tasks = tasks
            func run(_ index: Int, _ worker: Int) {
                var task = tasks[index]
                task.scratch = room + worker * each
                attend?(&task)
            }
            // Where tasks are many tokens, what they compute hides what they read, and those with the most positions take the longest.
            guard isFast, tasks.first?.count ?? 0 <= 4, let ask = askAhead else { return host.each(tasks.count, run) }
            host.parallelFor(tasks.count, grain: 1) { begin, end, worker in
                for index in begin..<end {
                    if index + 1 < end {
                        var next = tasks[index + 1]
                        ask(&next, 0)
                    }
                    run(index, worker)
                }
            }
        }
    }

    /// Cuts the tasks into segments of positions; false when no task has more than one.
    private func split(_ batch: Batch, _ op: Step) -> Bool {
        parts.removeAll(keepingCapacity: true)
        var at = 0
        for (index, task) in tasks.enumerated() {
            let last = Int(batch.positions[Int(task.first + task.count) - 1])
            let count = last / Int(CPUK_SEGMENT) + 1
            let floats = cpuk_segment_floats(Int(task.count) * op.heads / op.kvHeads, op.headDim)
            for segment in 0..<count { parts.append((index, segment, count, at + segment * floats)) }
            at += count * floats
        }
        _ = found.floats(at)
        return parts.count > tasks.count
    }

    private func runParts(_ op: Step, _ room: UnsafeMutablePointer<Float>, _ each: Int) {
        nonisolated(unsafe) let (room, table, askAhead, found) = (room, kernels.table, askAhead, found.base.assumingMemoryBound(to: Float.self))
        tasks.withUnsafeBufferPointer { tasks in
            parts.withUnsafeBufferPointer { parts in
                nonisolated(unsafe) let (tasks, parts) = (tasks, parts)
                host.parallelFor(parts.count, grain: 1) { begin, end, worker in
                    for index in begin..<end {
                        let part = parts[index]
                        var task = tasks[part.task]
                        if index + 1 < end, parts[index + 1].task != part.task {
                            var next = tasks[parts[index + 1].task]
                            askAhead?(&next, UInt32(parts[index + 1].segment))
                        }
                        task.scratch = room + worker * each
                        table.pointee.attend_segment(&task, UInt32(part.segment), found + part.at)
                    }
                }
                for part in parts where part.segment == 0 {
                    var task = tasks[part.task]
                    table.pointee.attend_merge(&task, UInt32(part.count), found + part.at)
                }
            }
        }
    }
}
