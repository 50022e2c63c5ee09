import CDriver
import Glibc

/// A struct of the contract: begins with its size in bytes as a 32-bit number.
protocol ContractStruct {
    init()
    var size: UInt32 { get set }
}

extension ContractStruct {
    /// Zeroed, with `size` filled in.
    static func sized() -> Self {
        var value = Self()
        value.size = UInt32(MemoryLayout<Self>.size)
        return value
    }

    /// A copy of what a driver handed over: as many whole slots as both sides know, the rest zero.
    static func copied(from source: UnsafePointer<Self>?) -> Self? {
        guard let source else { return nil }
        let raw = UnsafeRawPointer(source)
        let theirs = Int(raw.loadUnaligned(as: UInt32.self))
        var value = Self()
        let whole = min(theirs, MemoryLayout<Self>.size) & ~7
        withUnsafeMutableBytes(of: &value) { bytes in
            if let base = bytes.baseAddress { memcpy(base, raw, whole) }
        }
        value.size = UInt32(whole)
        return value
    }
}

extension baton_host: ContractStruct {}
extension baton_driver: ContractStruct {}
extension baton_peer: ContractStruct {}
extension baton_options: ContractStruct {}
extension baton_device_info: ContractStruct {}
extension baton_device_table: ContractStruct {}
extension baton_buffer_table: ContractStruct {}
extension baton_program_table: ContractStruct {}
extension baton_timeline_table: ContractStruct {}
extension baton_memory: ContractStruct {}
extension baton_sync: ContractStruct {}
extension baton_event: ContractStruct {}
extension baton_tensor: ContractStruct {}
extension baton_op: ContractStruct {}
extension baton_program_desc: ContractStruct {}
extension baton_program_info: ContractStruct {}
extension baton_binding: ContractStruct {}
extension baton_batch: ContractStruct {}
extension baton_kv_table: ContractStruct {}
extension baton_kv_layout: ContractStruct {}
extension baton_kv_pool_desc: ContractStruct {}
extension baton_kv_range: ContractStruct {}
extension baton_cost_table: ContractStruct {}
extension baton_work: ContractStruct {}
extension baton_cost: ContractStruct {}
extension baton_memory_need: ContractStruct {}

extension String {
    /// The text of a contract string; damaged UTF-8 is repaired, and length is bounded so that a wrong one cannot run away.
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

/// Makes one call through the contract and turns a code other than OK into a typed error with the driver's words.
@inline(__always)
func contractCall(
    _ driver: String, _ call: StaticString, _ body: (UnsafeMutablePointer<baton_status>) -> baton_code
) throws(DriverError) {
    var failure: DriverError?
    withUnsafeTemporaryAllocation(of: baton_status.self, capacity: 1) { room in
        guard let status = room.baseAddress else { return }
        status.pointee.size = UInt32(MemoryLayout<baton_status>.size)
        status.pointee.code = 0
        status.pointee.vendor_code = 0
        status.pointee.message_length = 0
        let code = body(status)
        if code != 0 { failure = DriverError(code, UnsafePointer(status), driver: driver, call: call) }
    }
    if let failure { throw failure }
}

/// The slot, or UNIMPLEMENTED when the driver's table does not have it.
@inline(__always)
func slot<F>(_ function: F?, _ driver: String, _ call: StaticString) throws(DriverError) -> F {
    guard let function else {
        throw DriverError(.unimplemented, driver: driver, call: "\(call)", detail: "the driver's table has no such function")
    }
    return function
}

extension DriverError {
    init(_ code: baton_code, _ status: UnsafePointer<baton_status>, driver: String, call: StaticString) {
        let room = 492
        let length = min(Int(status.pointee.message_length), room)
        let offset = MemoryLayout<baton_status>.offset(of: \.message) ?? 0
        let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(status) + offset, count: length)
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
        self.init(
            DriverError.Code(rawValue: code), driver: driver, call: "\(call)", detail: words.isEmpty ? "the driver gave no reason" : words,
            vendorCode: status.pointee.vendor_code)
    }
}
