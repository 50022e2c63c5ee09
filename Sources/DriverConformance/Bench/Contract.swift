import CDriver
import Glibc

/// A struct of the contract: begins with its size in bytes.
protocol Sized {
    init()
    var size: UInt32 { get set }
}

extension Sized {
    /// Zeroed, with `size` filled in.
    static func sized() -> Self {
        var value = Self()
        value.size = UInt32(MemoryLayout<Self>.size)
        return value
    }

    /// What a driver handed over: as many whole slots as both sides know, the rest zero.
    static func copied(_ source: UnsafePointer<Self>?) -> Self? {
        guard let source else { return nil }
        let raw = UnsafeRawPointer(source)
        let whole = min(Int(raw.loadUnaligned(as: UInt32.self)), MemoryLayout<Self>.size) & ~7
        var value = Self()
        withUnsafeMutableBytes(of: &value) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: whole)) }
        return value
    }
}

extension baton_host: Sized {}
extension baton_driver: Sized {}
extension baton_options: Sized {}
extension baton_status: Sized {}
extension baton_device_info: Sized {}
extension baton_device_table: Sized {}
extension baton_buffer_table: Sized {}
extension baton_program_table: Sized {}
extension baton_timeline_table: Sized {}
extension baton_memory: Sized {}
extension baton_sync: Sized {}
extension baton_event: Sized {}
extension baton_tensor: Sized {}
extension baton_op: Sized {}
extension baton_program_desc: Sized {}
extension baton_program_info: Sized {}
extension baton_binding: Sized {}
extension baton_batch: Sized {}
extension baton_kv_table: Sized {}
extension baton_kv_layout: Sized {}
extension baton_kv_pool_desc: Sized {}
extension baton_kv_range: Sized {}
extension baton_cost_table: Sized {}
extension baton_work: Sized {}
extension baton_cost: Sized {}
extension baton_memory_need: Sized {}

/// The contract's codes by name.
enum Code {
    static let names = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        "UNAUTHENTICATED",
    ]
    static func name(_ code: baton_code) -> String { names.indices.contains(Int(code)) ? names[Int(code)] : "code \(code)" }
    static let cancelled: baton_code = 1
    static let invalid: baton_code = 3
    static let deadline: baton_code = 4
    static let exhausted: baton_code = 8
    static let precondition: baton_code = 9
    static let aborted: baton_code = 10
    static let outOfRange: baton_code = 11
    static let unimplemented: baton_code = 12
}

/// What a call answered: its code, and the driver's words.
struct Answer {
    var code: baton_code
    var words: String
    var isOK: Bool { code == 0 }
    var text: String { words.isEmpty ? "\(Code.name(code)) without words" : "\(Code.name(code)): \(words)" }
}

/// Makes one call with a status of its own.
func ask(_ body: (UnsafeMutablePointer<baton_status>) -> baton_code) -> Answer {
    var status = baton_status.sized()
    let code = body(&status)
    let length = min(Int(status.message_length), MemoryLayout.size(ofValue: status.message))
    let words = withUnsafeBytes(of: status.message) { String(decoding: $0.prefix(length), as: UTF8.self) }
    return Answer(code: code, words: code == 0 ? "" : words)
}

/// Makes a call that has to succeed.
func call(_ what: String, _ body: (UnsafeMutablePointer<baton_status>) -> baton_code) throws {
    let answer = ask(body)
    try require(answer.isOK, "\(what) gave \(answer.text)")
}

/// Makes a call that has to fail with one of `codes`.
@discardableResult
func refused(_ what: String, _ codes: [baton_code], _ body: (UnsafeMutablePointer<baton_status>) -> baton_code) throws -> Answer {
    let answer = ask(body)
    try require(
        codes.contains(answer.code),
        "\(what) gave \(answer.isOK ? "OK" : answer.text); \(codes.map(Code.name).joined(separator: " or ")) was due")
    return answer
}

/// A slot that every driver with this ability has.
func slot<F>(_ function: F?, _ name: String) throws -> F {
    guard let function else { throw Broken("the slot \(name) is null") }
    return function
}

extension String {
    init(_ string: baton_string) {
        let bytes = UnsafeRawBufferPointer(start: string.data, count: string.data == nil ? 0 : Int(Swift.min(string.length, 65_536)))
        self = String(decoding: bytes, as: UTF8.self)
    }

    /// Lends the text as a contract string.
    func lend<R>(_ body: (baton_string) throws -> R) rethrows -> R {
        var copy = self
        return try copy.withUTF8 { bytes in
            let chars = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
            return try body(baton_string(data: chars, length: UInt64(bytes.count)))
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
