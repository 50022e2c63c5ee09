import CDriver

/// Structs of the contract on the wire: the bytes their `size` states, so that the driver sees what its caller wrote, sound or not.
/// Pointers inside of them are meaningless at the other end; what they point to is sent after the struct.
extension WireWriter {
    mutating func put<T>(struct pointer: UnsafePointer<T>?) {
        guard let pointer else { return put(Wire.absent) }
        let raw = UnsafeRawPointer(pointer)
        let stated = raw.loadUnaligned(as: UInt32.self)
        put(UnsafeRawBufferPointer(start: raw, count: Int(min(max(stated, 4), Wire.structLimit))))
    }

    mutating func put(_ string: baton_string) {
        let count = string.data == nil ? 0 : Int(min(string.length, 1 << 16))
        put(UnsafeRawBufferPointer(start: string.data, count: count))
    }

    mutating func put(options: UnsafePointer<baton_options>?) {
        put(struct: options)
        guard let options, options.pointee.size >= UInt32(MemoryLayout<baton_options>.size), let items = options.pointee.items else { return put(Wire.absent) }
        let count = min(options.pointee.count, 4_096)
        put(count)
        for index in 0..<Int(count) {
            put(items[index].key)
            put(items[index].value)
        }
    }

    /// Elements as far apart as the first one's size says.
    mutating func put(elements first: UnsafeRawPointer?, count: UInt32) {
        guard let first else { return put(Wire.absent) }
        let stride = count == 0 ? 0 : min(max(first.loadUnaligned(as: UInt32.self), 4), Wire.structLimit)
        put(stride)
        let total = Int(stride) * Int(count)
        put(UnsafeRawBufferPointer(start: first, count: total <= Wire.limit ? total : 0))
    }

    mutating func put(numbers: UnsafePointer<UInt32>?, count: Int) { put(UnsafeRawPointer(numbers), count: count <= Wire.limit / 4 ? count * 4 : 0) }
}

extension WireReader {
    /// A struct with as many bytes as its writer stated and the rest zero, at least as large as `T`.
    mutating func take<T>(struct: T.Type, in arena: Arena) throws(WireError) -> UnsafeMutablePointer<T>? {
        guard let bytes = try takeBytes(limit: Int(Wire.structLimit)) else { return nil }
        guard bytes.count >= 4 else { throw WireError("a struct of \(bytes.count) bytes has no room for its size") }
        let raw = try arena.copy(bytes, room: MemoryLayout<T>.size)
        if raw.loadUnaligned(as: UInt32.self) > UInt32(bytes.count) { raw.storeBytes(of: UInt32(bytes.count), as: UInt32.self) }
        return raw.assumingMemoryBound(to: T.self)
    }

    mutating func takeString(in arena: Arena) throws(WireError) -> baton_string {
        let bytes = try takeBytes(limit: 1 << 16) ?? []
        let copy = try arena.copy(bytes)
        return baton_string(data: UnsafeRawPointer(copy).assumingMemoryBound(to: CChar.self), length: UInt64(bytes.count))
    }

    mutating func takeOptions(in arena: Arena) throws(WireError) -> UnsafePointer<baton_options>? {
        let options = try take(struct: baton_options.self, in: arena)
        let count: UInt32 = try take()
        options?.pointee.items = nil
        guard count != Wire.absent else { return options.map { UnsafePointer($0) } }
        guard count <= 4_096 else { throw WireError("\(count) options in one call; at most 4096 are taken") }
        let items = try arena.room(Int(count) * MemoryLayout<baton_option>.stride).assumingMemoryBound(to: baton_option.self)
        for index in 0..<Int(count) { items[index] = baton_option(key: try takeString(in: arena), value: try takeString(in: arena)) }
        options?.pointee.items = UnsafePointer(items)
        options?.pointee.count = count
        return options.map { UnsafePointer($0) }
    }

    /// The elements' first byte, how far apart they are, and how many there are.
    mutating func takeElements(in arena: Arena) throws(WireError) -> (first: UnsafeMutableRawPointer, stride: Int, count: Int)? {
        let stride: UInt32 = try take()
        guard stride != Wire.absent else { return nil }
        guard let bytes = try takeBytes() else { throw WireError("an array of structs without its bytes") }
        let count = stride == 0 ? 0 : bytes.count / Int(stride)
        return (try arena.copy(bytes, room: bytes.count + Int(Wire.structLimit)), Int(stride), count)
    }

    mutating func takeNumbers(in arena: Arena) throws(WireError) -> (first: UnsafePointer<UInt32>, count: Int)? {
        guard let bytes = try takeBytes() else { return nil }
        return (UnsafePointer(try arena.copy(bytes).assumingMemoryBound(to: UInt32.self)), bytes.count / 4)
    }
}
