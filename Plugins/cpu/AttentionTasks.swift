import CPUKernels

/// The tasks of a batch's attentions, as the workers of a team run them: plain pointers, nothing is counted while workers pass it on.
struct AttentionTasks: @unchecked Sendable {
    let kernels: UnsafePointer<cpuk_table>
    let manner: Attention.Manner
    /// Of any layer: heads, q, out and the layer's storage are filled in when it runs.
    let tasks: UnsafeBufferPointer<cpuk_attention>
    /// Of .bySegment.
    let parts: UnsafeBufferPointer<Attention.Part>
    let asksAhead: Bool
    /// By worker.
    let scratch: UnsafePointer<UnsafeMutablePointer<Float>>
    let found: UnsafeMutablePointer<Float>
    let kv: KVStorage

    /// One worker's way through an attention. K and V of the batch are in the pool, or, where `stores`, are stored by whoever takes the task that attends
    /// to them. `begins` is called by whoever takes the first piece.
    func run(_ step: Step, _ work: RowWork, stores: Bool, _ member: inout Member, begins: () -> Void) {
        let (q, out) = (UnsafePointer(work.places(step.a, 0, 0)), work.places(step.out, 0, 0))
        let (room, layer) = (scratch[member.worker], kv.layer(max(0, step.layer)))
        func filled(_ task: cpuk_attention) -> cpuk_attention {
            var task = task
            (task.q, task.out, task.scratch, task.layer) = (q, out, room, UnsafePointer(layer.assumingMemoryBound(to: UInt8.self)))
            (task.heads, task.scale, task.cap, task.window) = (UInt32(step.heads), step.scale, step.cap, UInt32(step.window))
            return task
        }
        func store(_ task: cpuk_attention, segment: Int? = nil) {
            guard stores, let positions = work.batch.positions else { return }
            for t in Int(task.first)..<Int(task.first + task.count) where segment == nil || Int(positions[t]) / Int(CPUK_SEGMENT) == segment {
                work.store(step, t..<t + 1, heads: Int(task.kv_head)..<Int(task.kv_head) + 1, kv)
            }
        }
        let attend = manner == .plain ? kernels.pointee.attend : kernels.pointee.attend_fast
        switch manner {
        case .plain, .byTask:
            member.each(tasks.count) { index in
                if index == 0 { begins() }
                store(tasks[index])
                var task = filled(tasks[index])
                attend?(&task)
            }
        case .byRun:
            member.share(tasks.count) { begin, end in
                if begin == 0 { begins() }
                for index in begin..<end {
                    store(tasks[index])
                    if index + 1 < end { ask(filled(tasks[index + 1]), 0) }
                    var task = filled(tasks[index])
                    attend?(&task)
                }
            }
        case .bySegment: runParts(filled, store, &member, begins: begins)
        }
    }

    /// Asks memory for the KV that a worker reads first, while it does something else.
    func askFirst(_ step: Step, worker: Int, of workers: Int) {
        guard manner == .byRun || manner == .bySegment else { return }
        let part = manner == .bySegment ? parts[parts.count * worker / workers] : Attention.Part(task: tasks.count * worker / workers, segment: 0, at: 0)
        var task = tasks[part.task]
        (task.layer, task.heads) = (UnsafePointer(kv.layer(max(0, step.layer)).assumingMemoryBound(to: UInt8.self)), UInt32(step.heads))
        ask(task, part.segment)
    }

    /// Asks memory for a task's KV while another runs.
    private func ask(_ task: cpuk_attention, _ segment: Int) {
        guard asksAhead else { return }
        var task = task
        kernels.pointee.attend_ask(&task, UInt32(segment))
    }

    private func runParts(
        _ filled: (cpuk_attention) -> cpuk_attention, _ store: (cpuk_attention, Int?) -> Void, _ member: inout Member, begins: () -> Void
    ) {
        member.share(parts.count) { begin, end in
            if begin == 0 { begins() }
            for index in begin..<end {
                let part = parts[index]
                store(tasks[part.task], part.segment)
                var task = filled(tasks[part.task])
                if index + 1 < end, parts[index + 1].task != part.task { ask(filled(tasks[parts[index + 1].task]), parts[index + 1].segment) }
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
