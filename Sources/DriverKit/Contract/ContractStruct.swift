import CDriver
import Glibc

/// A struct of the contract: begins with its size in bytes. `starts` are the offsets at which its fields start, ascending,
/// and the whole size: the lengths to which the struct can be cut without cutting a field.
protocol ContractStruct {
    init()
    var size: UInt32 { get set }
    static var starts: [Int?] { get }
}

extension ContractStruct {
    static func sized() -> Self {
        var value = Self()
        value.size = UInt32(MemoryLayout<Self>.size)
        return value
    }

    /// Fields that lie whole inside the caller's `size`; the rest of what is read is zero.
    static func read(_ source: UnsafePointer<Self>, _ what: String, atLeast needed: Int) throws(DriverFailure) -> Self {
        let raw = UnsafeRawPointer(source)
        let theirs = Int(raw.loadUnaligned(as: UInt32.self))
        guard theirs >= needed else {
            throw .invalid("\(what) states \(theirs) bytes and \(needed) are needed; set its size and build against these headers")
        }
        return copy(raw, theirs)
    }

    static func read(_ source: UnsafePointer<Self>?, _ what: String) throws(DriverFailure) -> Self {
        guard let source else { throw .invalid("\(what) is null; pass one") }
        return try read(source, what, atLeast: MemoryLayout<Self>.size)
    }

    /// Writes as many whole fields as the caller has room for, and the number of bytes written as `size`.
    func write(to out: UnsafeMutablePointer<Self>) {
        let room = Int(UnsafeRawPointer(out).loadUnaligned(as: UInt32.self))
        let whole = room >= MemoryLayout<Self>.size ? MemoryLayout<Self>.size : Self.wholeFields(room)
        guard whole >= 4 else { return }
        var value = self
        value.size = UInt32(whole)
        withUnsafeBytes(of: &value) { bytes in
            if let base = bytes.baseAddress { memcpy(UnsafeMutableRawPointer(out), base, whole) }
        }
    }

    /// The whole fields in the first `length` bytes, the rest zero.
    static func copy(_ source: UnsafeRawPointer, _ length: Int) -> Self {
        let whole = length >= MemoryLayout<Self>.size ? MemoryLayout<Self>.size : wholeFields(length)
        var value = Self()
        withUnsafeMutableBytes(of: &value) { bytes in
            if let base = bytes.baseAddress { memcpy(base, source, whole) }
        }
        return value
    }

    /// The largest field boundary at or below `size`.
    static func wholeFields(_ size: Int) -> Int {
        starts.compactMap { $0 }.last { $0 <= size } ?? 0
    }
}

/// Elements of an array of contract structs, `size` bytes apart as the first one states.
struct StridedElements<Element: ContractStruct> {
    let base: UnsafeRawPointer
    let stride: Int
    let count: Int

    /// Refuses a null array with a count, more than `limit` elements, and elements shorter than `needed` or misaligned.
    init?(
        _ pointer: UnsafePointer<Element>?, count: UInt32, limit: Int, _ what: String, needed: Int = MemoryLayout<Element>.size
    ) throws(DriverFailure) {
        guard count > 0 else { return nil }
        guard let pointer else { throw .invalid("\(what) is null and \(count) are stated; pass the array") }
        guard Int(count) <= limit else { throw .invalid("\(count) \(what) are stated; at most \(limit) can be given") }
        base = UnsafeRawPointer(pointer)
        stride = Int(base.loadUnaligned(as: UInt32.self))
        self.count = Int(count)
        guard stride >= needed, stride % 4 == 0, stride <= 65_536 else {
            throw .invalid("the first of \(what) states \(stride) bytes and \(needed) are needed; set size in each element")
        }
    }

    subscript(index: Int) -> Element {
        let at = base + index * stride
        return Element.copy(at, stride)
    }
}

extension baton_driver: ContractStruct {
    static var starts: [Int?] {
        [
            MemoryLayout<Self>.offset(of: \.size), MemoryLayout<Self>.offset(of: \.option_count),
            MemoryLayout<Self>.offset(of: \.abi_min), MemoryLayout<Self>.offset(of: \.abi_max), MemoryLayout<Self>.offset(of: \.abi),
            MemoryLayout<Self>.offset(of: \.name), MemoryLayout<Self>.offset(of: \.version), MemoryLayout<Self>.offset(of: \.vendor),
            MemoryLayout<Self>.offset(of: \.options), MemoryLayout<Self>.offset(of: \.device), MemoryLayout<Self>.offset(of: \.buffer),
            MemoryLayout<Self>.offset(of: \.program), MemoryLayout<Self>.offset(of: \.timeline),
            MemoryLayout<Self>.offset(of: \.get_interface), MemoryLayout<Self>.offset(of: \.describe), MemoryLayout<Self>.size,
        ]
    }
}

extension baton_device_info: ContractStruct {
    static var starts: [Int?] {
        [
            MemoryLayout<Self>.offset(of: \.size), MemoryLayout<Self>.offset(of: \.engine), MemoryLayout<Self>.offset(of: \.name),
            MemoryLayout<Self>.offset(of: \.vendor), MemoryLayout<Self>.offset(of: \.memory_bytes),
            MemoryLayout<Self>.offset(of: \.weight_dtypes), MemoryLayout<Self>.offset(of: \.compute_dtypes),
            MemoryLayout<Self>.offset(of: \.kv_dtypes), MemoryLayout<Self>.offset(of: \.resident_dtype),
            MemoryLayout<Self>.offset(of: \.kv_dtype), MemoryLayout<Self>.offset(of: \.shape_rule),
            MemoryLayout<Self>.offset(of: \.bucket_count), MemoryLayout<Self>.offset(of: \.buckets),
            MemoryLayout<Self>.offset(of: \.max_batch_tokens), MemoryLayout<Self>.offset(of: \.max_batch_sequences),
            MemoryLayout<Self>.offset(of: \.max_context), MemoryLayout<Self>.offset(of: \.kv_block_tokens),
            MemoryLayout<Self>.offset(of: \.queue_count), MemoryLayout<Self>.offset(of: \.queue_depth),
            MemoryLayout<Self>.offset(of: \.unit_count), MemoryLayout<Self>.offset(of: \.clock), MemoryLayout<Self>.size,
        ]
    }
}

extension baton_memory: ContractStruct {
    static var starts: [Int?] { [0, 4, 8, 16, 24, 32, 40, MemoryLayout<Self>.size] }
}
extension baton_event: ContractStruct {
    static var starts: [Int?] { [0, 4, 8, 16, 20, 24, 32, MemoryLayout<Self>.size] }
}
extension baton_program_info: ContractStruct {
    static var starts: [Int?] { [0, 4, 8, 16, 24, MemoryLayout<Self>.size] }
}
extension baton_cost: ContractStruct {
    static var starts: [Int?] { [0, 4, 8, 16, 24, 32, MemoryLayout<Self>.size] }
}
extension baton_memory_need: ContractStruct {
    static var starts: [Int?] { [0, 4, 8, 16, 24, 32, MemoryLayout<Self>.size] }
}
extension baton_kv_layout: ContractStruct {
    static var starts: [Int?] { [0, 4, 8, 16, 20, 24, 28, 32, 36, 40, 44, MemoryLayout<Self>.size] }
}
/// Read, never written: whole or refused, so only the end matters.
extension baton_sync: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_options: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_tensor: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_op: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_program_desc: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_binding: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_batch: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_kv_pool_desc: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_kv_range: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_work: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_peer: ContractStruct { static var starts: [Int?] { [0, MemoryLayout<Self>.size] } }
extension baton_host: ContractStruct {
    static var starts: [Int?] {
        [
            0, 4, 8, 16, 24, MemoryLayout<Self>.offset(of: \.log), MemoryLayout<Self>.offset(of: \.parallel_for),
            MemoryLayout<Self>.offset(of: \.open_device), MemoryLayout<Self>.offset(of: \.close_device),
            MemoryLayout<Self>.offset(of: \.get_interface), MemoryLayout<Self>.size,
        ]
    }
}

extension String {
    /// The text of a contract string; damaged UTF-8 is repaired and the length is bounded.
    init(_ string: baton_string, limit: Int = 65_536) {
        guard let data = string.data, string.length > 0 else { self = ""; return }
        let bytes = UnsafeRawBufferPointer(start: data, count: Swift.min(Int(clamping: string.length), limit))
        self = String(decoding: bytes, as: UTF8.self)
    }

    /// Lends the text as a contract string for the time of `body`.
    func withContractString<R>(_ body: (baton_string) -> R) -> R {
        var copy = self
        return copy.withUTF8 { bytes in
            let chars = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
            return body(baton_string(data: chars, length: UInt64(bytes.count)))
        }
    }
}
