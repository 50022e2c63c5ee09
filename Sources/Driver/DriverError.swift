/// A failure that came through the contract, or on the way to it.
///
/// `code` is open: a driver of a later contract may return a code this host does not name.
public struct DriverError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One of the codes of `status.h`.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }
        public static let cancelled = Code(rawValue: 1)
        public static let unknown = Code(rawValue: 2)
        public static let invalidArgument = Code(rawValue: 3)
        public static let deadlineExceeded = Code(rawValue: 4)
        public static let notFound = Code(rawValue: 5)
        public static let alreadyExists = Code(rawValue: 6)
        public static let permissionDenied = Code(rawValue: 7)
        public static let resourceExhausted = Code(rawValue: 8)
        public static let failedPrecondition = Code(rawValue: 9)
        public static let aborted = Code(rawValue: 10)
        public static let outOfRange = Code(rawValue: 11)
        /// The driver's table has no such slot, or the driver says that it never does this.
        public static let unimplemented = Code(rawValue: 12)
        public static let `internal` = Code(rawValue: 13)
        public static let unavailable = Code(rawValue: 14)
        public static let dataLoss = Code(rawValue: 15)
        public static let unauthenticated = Code(rawValue: 16)
    }

    public var code: Code
    /// The driver's name, or the path while it has none.
    public var driver: String
    /// The call of the contract, or the step of loading, that failed.
    public var call: String
    /// The driver's own words, one line.
    public var detail: String
    /// The vendor's number, 0 if none.
    public var vendorCode: Int64

    public init(_ code: Code, driver: String, call: String, detail: String, vendorCode: Int64 = 0) {
        self.code = code
        self.driver = driver
        self.call = call
        self.detail = detail.contains(where: \.isNewline) ? detail.split(whereSeparator: \.isNewline).joined(separator: " ") : detail
        self.vendorCode = vendorCode
    }

    /// Steps that concern a file which is no driver: a key, a policy, an attestation.
    private static let stepsOfFiles: Set<String> = ["attestation", "key", "trust", "sha256"]

    public var description: String {
        let vendor = vendorCode == 0 ? "" : " (vendor code \(vendorCode))"
        let who = Self.stepsOfFiles.contains(call) ? driver : "driver \(driver)"
        return "\(who): \(call): \(code): \(detail)\(vendor)"
    }
}

extension DriverError.Code: CustomStringConvertible {
    private static let names = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
        "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    ]

    public var description: String {
        Self.names.indices.contains(Int(rawValue)) ? Self.names[Int(rawValue)] : "code \(rawValue)"
    }
}
