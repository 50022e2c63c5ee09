public import CDriver
import Glibc

/// Why a call failed, in the driver's own words: one line that says what was asked, what was found and what to do.
public struct DriverFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// One of the contract's codes; open, since a newer contract may add some.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: baton_code
        public init(rawValue: baton_code) { self.rawValue = rawValue }

        public static let cancelled = Code(rawValue: baton_code(BATON_CANCELLED))
        public static let unknown = Code(rawValue: baton_code(BATON_UNKNOWN))
        public static let invalidArgument = Code(rawValue: baton_code(BATON_INVALID_ARGUMENT))
        public static let deadlineExceeded = Code(rawValue: baton_code(BATON_DEADLINE_EXCEEDED))
        public static let notFound = Code(rawValue: baton_code(BATON_NOT_FOUND))
        public static let alreadyExists = Code(rawValue: baton_code(BATON_ALREADY_EXISTS))
        public static let permissionDenied = Code(rawValue: baton_code(BATON_PERMISSION_DENIED))
        public static let resourceExhausted = Code(rawValue: baton_code(BATON_RESOURCE_EXHAUSTED))
        public static let failedPrecondition = Code(rawValue: baton_code(BATON_FAILED_PRECONDITION))
        public static let aborted = Code(rawValue: baton_code(BATON_ABORTED))
        public static let outOfRange = Code(rawValue: baton_code(BATON_OUT_OF_RANGE))
        public static let unimplemented = Code(rawValue: baton_code(BATON_UNIMPLEMENTED))
        public static let `internal` = Code(rawValue: baton_code(BATON_INTERNAL))
        public static let unavailable = Code(rawValue: baton_code(BATON_UNAVAILABLE))
        public static let dataLoss = Code(rawValue: baton_code(BATON_DATA_LOSS))
        public static let unauthenticated = Code(rawValue: baton_code(BATON_UNAUTHENTICATED))
    }

    public var code: Code
    public var message: String
    /// The vendor's own number, 0 if none.
    public var vendorCode: Int64

    public init(_ code: Code, _ message: String, vendorCode: Int64 = 0) {
        self.code = code
        self.message = message
        self.vendorCode = vendorCode
    }

    public var description: String { message }

    /// The failure another driver or the host wrote. A status too short for its words, or with none, still has a code.
    public init(_ code: baton_code, _ status: UnsafePointer<baton_status>?) {
        var words = ""
        var vendor: Int64 = 0
        if let status, status.pointee.size >= UInt32(MemoryLayout<baton_status>.size) {
            vendor = status.pointee.vendor_code
            let length = min(Int(status.pointee.message_length), Self.room)
            let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(status) + Self.messageOffset, count: length)
            words = String(decoding: bytes, as: UTF8.self)
        }
        self.init(Code(rawValue: code), words.isEmpty ? "code \(code), and no reason was given" : words, vendorCode: vendor)
    }

    static let room = 492
    static let messageOffset = 20

    /// Writes the failure; the words are made one line and cut at a character boundary. A null or short status is left alone.
    public func write(to status: UnsafeMutablePointer<baton_status>?) {
        guard let status, status.pointee.size >= UInt32(Self.messageOffset) else { return }
        let capacity = min(Int(status.pointee.size), MemoryLayout<baton_status>.size) - Self.messageOffset
        status.pointee.code = code.rawValue
        status.pointee.vendor_code = vendorCode
        var line = message
        if line.utf8.contains(where: { $0 == 10 || $0 == 13 }) {
            line = line.split(whereSeparator: \.isNewline).joined(separator: " ")
        }
        let length = line.withUTF8 { bytes in
            let length = Self.cut(bytes, at: min(capacity, Self.room))
            if length > 0, let base = bytes.baseAddress { memcpy(UnsafeMutableRawPointer(status) + Self.messageOffset, base, length) }
            return length
        }
        status.pointee.message_length = UInt32(length)
    }

    /// The longest prefix of at most `limit` bytes that ends where a character of UTF-8 ends.
    static func cut(_ bytes: UnsafeBufferPointer<UInt8>, at limit: Int) -> Int {
        guard bytes.count > limit else { return bytes.count }
        var end = limit
        while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return end
    }
}

extension DriverFailure {
    static func invalid(_ message: String) -> DriverFailure { DriverFailure(.invalidArgument, message) }
    static func unimplemented(_ what: String) -> DriverFailure { DriverFailure(.unimplemented, "this driver does not \(what)") }
}
