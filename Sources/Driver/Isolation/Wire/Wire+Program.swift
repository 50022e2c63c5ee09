import CDriver

/// Programs and batches on the wire: the structs as they are, then what their pointers lead to. `id` gives the child's number of a handle on the way out,
/// `handle` the driver's handle of a number at the other end.
extension WireWriter {
    mutating func put(program desc: UnsafePointer<baton_program_desc>?, id: (OpaquePointer?) throws(DriverError) -> UInt64) throws(DriverError) {
        put(struct: desc)
        guard let desc else { return }
        let tensors = desc.pointee.tensors
        put(elements: UnsafeRawPointer(tensors), count: desc.pointee.tensor_count)
        if let tensors {
            for index in 0..<Int(desc.pointee.tensor_count) {
                let tensor = Self.element(tensors, index)
                put(tensor.name)
                put(try id(tensor.buffer))
            }
        }
        put(elements: UnsafeRawPointer(desc.pointee.ops), count: desc.pointee.op_count)
        put(desc.pointee.progress != nil)
    }

    /// An element of an array whose elements are as far apart as the first one's size says; zero beyond what it states.
    private static func element<T: ContractStruct>(_ first: UnsafePointer<T>, _ index: Int) -> T {
        let stride = Int(max(UnsafeRawPointer(first).loadUnaligned(as: UInt32.self), 4))
        let raw = UnsafeRawPointer(first) + index * stride
        var value = T()
        withUnsafeMutableBytes(of: &value) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: min(stride, $0.count))) }
        return value
    }

    mutating func put(batch: UnsafePointer<baton_batch>?, id: (OpaquePointer?) throws(DriverError) -> UInt64) throws(DriverError) {
        put(struct: batch)
        guard let batch else { return }
        let tokens = Int(batch.pointee.token_count)
        put(numbers: batch.pointee.tokens, count: tokens)
        put(numbers: batch.pointee.positions, count: tokens)
        put(numbers: batch.pointee.sequences, count: tokens)
        put(numbers: batch.pointee.block_tables, count: Int(clamping: UInt64(batch.pointee.block_table_stride) * UInt64(batch.pointee.sequence_count)))
        put(numbers: batch.pointee.rows, count: Int(batch.pointee.row_count))
        put(elements: UnsafeRawPointer(batch.pointee.bindings), count: batch.pointee.binding_count)
        if let bindings = batch.pointee.bindings {
            for index in 0..<Int(batch.pointee.binding_count) { put(try id(Self.element(bindings, index).buffer)) }
        }
        put(try id(batch.pointee.pool))
    }

    mutating func put(sync: UnsafePointer<baton_sync>?, id: (OpaquePointer?) throws(DriverError) -> UInt64) throws(DriverError) {
        put(struct: sync)
        guard let sync else { return }
        for (points, count) in [(sync.pointee.waits, sync.pointee.wait_count), (sync.pointee.signals, sync.pointee.signal_count)] {
            put(points != nil)
            guard let points else { continue }
            put(min(count, 65_536))
            for index in 0..<Int(min(count, 65_536)) {
                put(try id(points[index].timeline))
                put(points[index].value)
            }
        }
        put(try id(sync.pointee.layer_timeline))
    }
}

extension WireReader {
    mutating func takeProgram(
        in arena: Arena, handle: (UInt64) throws(WireError) -> OpaquePointer?
    ) throws(WireError) -> (desc: UnsafeMutablePointer<baton_program_desc>, wantsProgress: Bool)? {
        guard let desc = try take(struct: baton_program_desc.self, in: arena) else { return nil }
        let tensors = try takeElements(in: arena)
        if let tensors {
            let count = Int(desc.pointee.tensor_count)
            guard tensors.count == count else { throw WireError("\(count) tensors are stated and \(tensors.count) are there") }
            for index in 0..<count {
                let (name, buffer) = (try takeString(in: arena), try handle(try take()))
                let tensor = (tensors.first + index * tensors.stride).assumingMemoryBound(to: baton_tensor.self)
                if tensors.stride >= 24 { tensor.pointee.name = name }
                if tensors.stride >= (MemoryLayout<baton_tensor>.offset(of: \.buffer) ?? 72) + 8 { tensor.pointee.buffer = buffer }
            }
        }
        desc.pointee.tensors = tensors.map { UnsafePointer($0.first.assumingMemoryBound(to: baton_tensor.self)) }
        let ops = try takeElements(in: arena)
        guard ops == nil || ops?.count == Int(desc.pointee.op_count) else { throw WireError("\(desc.pointee.op_count) operations are stated and \(ops?.count ?? 0) are there") }
        desc.pointee.ops = ops.map { UnsafePointer($0.first.assumingMemoryBound(to: baton_op.self)) }
        desc.pointee.progress = nil
        desc.pointee.progress_user = nil
        return (desc, try takeFlag())
    }

    mutating func takeBatch(
        in arena: Arena, handle: (UInt64) throws(WireError) -> OpaquePointer?
    ) throws(WireError) -> UnsafeMutablePointer<baton_batch>? {
        guard let batch = try take(struct: baton_batch.self, in: arena) else { return nil }
        let tokens = Int(batch.pointee.token_count)
        batch.pointee.tokens = try numbers(tokens, arena)
        batch.pointee.positions = try numbers(tokens, arena)
        batch.pointee.sequences = try numbers(tokens, arena)
        let entries = UInt64(batch.pointee.block_table_stride) * UInt64(batch.pointee.sequence_count)
        batch.pointee.block_tables = try numbers(Int(clamping: entries), arena)
        batch.pointee.rows = try numbers(Int(batch.pointee.row_count), arena)
        let bindings = try takeElements(in: arena)
        if let bindings {
            guard bindings.count == Int(batch.pointee.binding_count) else { throw WireError("\(batch.pointee.binding_count) bindings are stated and \(bindings.count) are there") }
            for index in 0..<bindings.count {
                let buffer = try handle(try take())
                guard bindings.stride >= 16 else { continue }
                (bindings.first + index * bindings.stride).assumingMemoryBound(to: baton_binding.self).pointee.buffer = buffer
            }
        }
        batch.pointee.bindings = bindings.map { UnsafePointer($0.first.assumingMemoryBound(to: baton_binding.self)) }
        batch.pointee.pool = try handle(try take())
        return batch
    }

    private mutating func numbers(_ count: Int, _ arena: Arena) throws(WireError) -> UnsafePointer<UInt32>? {
        guard let found = try takeNumbers(in: arena) else { return nil }
        guard found.count == count else { throw WireError("\(count) numbers are stated and \(found.count) are there") }
        return found.first
    }

    mutating func takeSync(
        in arena: Arena, handle: (UInt64) throws(WireError) -> OpaquePointer?
    ) throws(WireError) -> UnsafePointer<baton_sync>? {
        guard let sync = try take(struct: baton_sync.self, in: arena) else { return nil }
        let waits = try takePoints(in: arena, handle: handle)
        let signals = try takePoints(in: arena, handle: handle)
        sync.pointee.waits = waits?.first
        sync.pointee.signals = signals?.first
        sync.pointee.wait_count = min(sync.pointee.wait_count, waits?.count ?? sync.pointee.wait_count)
        sync.pointee.signal_count = min(sync.pointee.signal_count, signals?.count ?? sync.pointee.signal_count)
        sync.pointee.layer_timeline = try handle(try take())
        return UnsafePointer(sync)
    }

    private mutating func takePoints(
        in arena: Arena, handle: (UInt64) throws(WireError) -> OpaquePointer?
    ) throws(WireError) -> (first: UnsafePointer<baton_point>, count: UInt32)? {
        guard try takeFlag() else { return nil }
        let count = try takeCount(of: 16, limit: 65_536)
        let points = try arena.room(count * MemoryLayout<baton_point>.stride).assumingMemoryBound(to: baton_point.self)
        for index in 0..<count { points[index] = baton_point(timeline: try handle(try take()), value: try take()) }
        return (UnsafePointer(points), UInt32(count))
    }
}
