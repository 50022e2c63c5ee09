import CDriver

/// Copies of what a call's pointers point to, so that a call that never returns touches no memory of a caller that has gone on.
/// What the driver wrote goes back to the caller with `giveBack`, only when the call has returned in its time.
final class CallArena: @unchecked Sendable {
    private var memory: [UnsafeMutableRawPointer] = []
    private var returns: [() -> Void] = []

    deinit { for block in memory { block.deallocate() } }

    func giveBack() { for one in returns { one() } }

    private func bytes(_ source: UnsafeRawPointer?, _ count: Int) -> UnsafeMutableRawPointer? {
        guard let source else { return nil }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 64)
        copy.copyMemory(from: source, byteCount: count)
        memory.append(copy)
        return copy
    }

    private func array<T>(_ source: UnsafePointer<T>?, _ count: Int) -> UnsafePointer<T>? {
        bytes(source, count * MemoryLayout<T>.stride).map { UnsafePointer($0.assumingMemoryBound(to: T.self)) }
    }

    /// A struct of the contract, as long as it says it is.
    private func whole<T: ContractStruct>(_ source: UnsafePointer<T>?) -> UnsafeMutablePointer<T>? {
        guard let source else { return nil }
        return bytes(source, max(Int(source.pointee.size), MemoryLayout<T>.size))?.assumingMemoryBound(to: T.self)
    }

    /// A place for what the driver writes, filled with what the caller has there.
    private func out<T>(_ place: UnsafeMutablePointer<T>?, bytes count: Int = MemoryLayout<T>.size) -> UnsafeMutablePointer<T>? {
        guard let place, let copy = bytes(place, count) else { return nil }
        returns.append { UnsafeMutableRawPointer(place).copyMemory(from: copy, byteCount: count) }
        return copy.assumingMemoryBound(to: T.self)
    }

    private func outStruct<T: ContractStruct>(_ place: UnsafeMutablePointer<T>?) -> UnsafeMutablePointer<T>? {
        out(place, bytes: place.map { Int($0.pointee.size) } ?? 0)
    }

    // MARK: structs that point further

    private func options(_ source: Call.Options) -> Call.Options {
        guard let copy = whole(source) else { return nil }
        copy.pointee.items = array(copy.pointee.items, Int(copy.pointee.count)).map { items in
            let list = UnsafeMutablePointer(mutating: items)
            for index in 0..<Int(copy.pointee.count) {
                list[index].key = string(list[index].key)
                list[index].value = string(list[index].value)
            }
            return items
        }
        return UnsafePointer(copy)
    }

    private func string(_ text: baton_string) -> baton_string { baton_string(data: array(text.data, Int(text.length)), length: text.length) }

    private func sync(_ source: UnsafePointer<baton_sync>?) -> UnsafePointer<baton_sync>? {
        guard let copy = whole(source) else { return nil }
        copy.pointee.waits = array(copy.pointee.waits, Int(copy.pointee.wait_count))
        copy.pointee.signals = array(copy.pointee.signals, Int(copy.pointee.signal_count))
        return UnsafePointer(copy)
    }

    private func batch(_ source: UnsafePointer<baton_batch>?) -> UnsafePointer<baton_batch>? {
        guard let copy = whole(source) else { return nil }
        let (tokens, sequences) = (Int(copy.pointee.token_count), Int(copy.pointee.sequence_count))
        copy.pointee.tokens = array(copy.pointee.tokens, tokens)
        copy.pointee.positions = array(copy.pointee.positions, tokens)
        copy.pointee.sequences = array(copy.pointee.sequences, tokens)
        copy.pointee.block_tables = array(copy.pointee.block_tables, sequences * Int(copy.pointee.block_table_stride))
        copy.pointee.rows = array(copy.pointee.rows, Int(copy.pointee.row_count))
        copy.pointee.bindings = structs(copy.pointee.bindings, Int(copy.pointee.binding_count), copy.pointee.bindings?.pointee.size)
        return UnsafePointer(copy)
    }

    private func structs<T>(_ source: UnsafePointer<T>?, _ count: Int, _ stride: UInt32?) -> UnsafePointer<T>? {
        bytes(source, count * Int(stride ?? 0)).map { UnsafePointer($0.assumingMemoryBound(to: T.self)) }
    }

    private func program(_ source: UnsafePointer<baton_program_desc>?) -> UnsafePointer<baton_program_desc>? {
        guard let copy = whole(source) else { return nil }
        let stride = Int(copy.pointee.tensors?.pointee.size ?? 0)
        if let tensors = structs(copy.pointee.tensors, Int(copy.pointee.tensor_count), UInt32(stride)), stride >= MemoryLayout<baton_tensor>.size {
            for index in 0..<Int(copy.pointee.tensor_count) {
                let tensor = (UnsafeMutableRawPointer(mutating: tensors) + index * stride).assumingMemoryBound(to: baton_tensor.self)
                tensor.pointee.name = string(tensor.pointee.name)
            }
            copy.pointee.tensors = tensors
        }
        copy.pointee.ops = structs(copy.pointee.ops, Int(copy.pointee.op_count), copy.pointee.ops?.pointee.size)
        return UnsafePointer(copy)
    }

    private func range(_ source: UnsafePointer<baton_kv_range>?) -> UnsafePointer<baton_kv_range>? {
        guard let copy = whole(source) else { return nil }
        copy.pointee.blocks = array(copy.pointee.blocks, Int(copy.pointee.block_count))
        return UnsafePointer(copy)
    }

    private func input<T: ContractStruct>(_ source: UnsafePointer<T>?) -> UnsafePointer<T>? { whole(source).map { UnsafePointer($0) } }

    // MARK: calls

    /// The call over copies.
    func owned(_ call: Call) -> Call {
        var copy = call
        copy.arguments = arguments(call.arguments)
        let place = call.status
        copy.status = out(place, bytes: Int(place.pointee.size)) ?? place
        return copy
    }

    private func arguments(_ arguments: Call.Arguments) -> Call.Arguments {
        switch arguments {
        case .describe(let options, let out): .describe(self.options(options), outStruct(out))
        case .open(let options, let out): .open(self.options(options), self.out(out))
        case .info(let out): .info(outStruct(out))
        case .allocate(let length, let out): .allocate(length, self.out(out))
        case .importMemory(let memory, let access, let out): .importMemory(input(memory), access, self.out(out))
        case .exportMemory(let buffer, let kind, let out): .exportMemory(buffer, kind, outStruct(out))
        case .write(let buffer, let offset, let source, let length): .write(buffer, offset, bytes(source, Int(clamping: length)).map { UnsafeRawPointer($0) }, length)
        case .read(let buffer, let offset, let target, let length):
            .read(buffer, offset, out(target?.assumingMemoryBound(to: UInt8.self), bytes: Int(clamping: length)).map { UnsafeMutableRawPointer($0) }, length)
        case .map(let buffer, let access, let out): .map(buffer, access, self.out(out))
        case .copy(var copy):
            { () -> Call.Arguments in
                copy.sync = sync(copy.sync)
                return .copy(copy)
            }()
        default: work(arguments)
        }
    }

    private func work(_ arguments: Call.Arguments) -> Call.Arguments {
        switch arguments {
        case .compile(let desc, let out): .compile(program(desc), self.out(out))
        case .programInfo(let program, let out): .programInfo(program, outStruct(out))
        case .submit(let program, let batch, let sync): .submit(program, self.batch(batch), self.sync(sync))
        case .createTimeline(let value, let out): .createTimeline(value, self.out(out))
        case .query(let timeline, let value, let out): .query(timeline, value, outStruct(out))
        case .wait(let timeline, let value, let timeout, let out): .wait(timeline, value, timeout, outStruct(out))
        case .fail(let timeline, let reason): .fail(timeline, bytes(reason, Int(reason?.pointee.size ?? 0)).map { UnsafePointer($0.assumingMemoryBound(to: baton_status.self)) })
        case .kvLayouts(let options, let desc, let importing, let out, let capacity, let count):
            .kvLayouts(
                self.options(options), input(desc), importing, self.out(out, bytes: Int(capacity) * MemoryLayout<baton_kv_layout>.stride), capacity, self.out(count))
        case .kvCreate(let desc, let out): .kvCreate(input(desc), self.out(out))
        case .kvShare(let pool, let kind, let memory, let layout): .kvShare(pool, kind, outStruct(memory), outStruct(layout))
        case .kvAdopt(let desc, let memory, let layout, let out): .kvAdopt(input(desc), input(memory), input(layout), self.out(out))
        case .kvExport(let move): .kvExport(owned(move))
        case .kvImport(let move): .kvImport(owned(move))
        case .kvCopyBlocks(let pool, let from, let to, let count, let sync): .kvCopyBlocks(pool, array(from, Int(count)), array(to, Int(count)), count, self.sync(sync))
        case .estimate(let options, let desc, let work, let out): .estimate(self.options(options), program(desc), input(work), outStruct(out))
        case .memory(let options, let desc, let tokens, let dtype, let out): .memory(self.options(options), program(desc), tokens, dtype, outStruct(out))
        default: arguments
        }
    }

    private func owned(_ move: Call.KVMove) -> Call.KVMove {
        Call.KVMove(pool: move.pool, range: range(move.range), layout: input(move.layout), memory: input(move.memory), sync: sync(move.sync))
    }
}
