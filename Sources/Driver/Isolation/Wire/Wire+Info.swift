import CDriver

/// Structs that a driver fills and that hold pointers: what they point to follows them.
extension WireWriter {
    mutating func put(info: UnsafeMutablePointer<baton_device_info>?) {
        put(struct: info.map { UnsafePointer($0) })
        guard let info else { return }
        put(info.pointee.name)
        put(info.pointee.vendor)
        put(numbers: info.pointee.buckets, count: Int(min(info.pointee.bucket_count, 4_096)))
    }

    mutating func put(info: UnsafeMutablePointer<baton_program_info>?) {
        put(struct: info.map { UnsafePointer($0) })
        guard let info else { return }
        put(numbers: info.pointee.buckets, count: Int(min(info.pointee.bucket_count, 4_096)))
    }
}

extension WireReader {
    private mutating func takeList() throws(WireError) -> [UInt32] {
        guard let bytes = try takeBytes(limit: 4 * 4_096) else { return [] }
        return bytes.withUnsafeBytes { raw in (0..<raw.count / 4).map { UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)) } }
    }

    /// With strings and numbers kept on this side.
    mutating func takeDeviceInfo() throws(WireError) -> baton_device_info? {
        guard var info = try Forward.take(baton_device_info.self, &self) else { return nil }
        info.name = Kept.text(try takeText())
        info.vendor = Kept.text(try takeText())
        let buckets = try takeList()
        info.buckets = Kept.numbers(buckets)
        info.bucket_count = UInt32(info.buckets == nil ? 0 : buckets.count)
        return info
    }

    mutating func takeProgramInfo() throws(WireError) -> baton_program_info? {
        guard var info = try Forward.take(baton_program_info.self, &self) else { return nil }
        let buckets = try takeList()
        info.buckets = Kept.numbers(buckets)
        info.bucket_count = UInt32(info.buckets == nil ? 0 : buckets.count)
        return info
    }
}
