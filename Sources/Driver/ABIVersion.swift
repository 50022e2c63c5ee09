import CDriver

/// A version of the contract. Nothing breaks under a major.
public struct ABIVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var major: UInt32
    public var minor: UInt32

    public init(_ major: UInt32, _ minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// From "1.0".
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt32($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
        self.init(major, minor)
    }

    init(_ raw: baton_version) { self.init(raw.major, raw.minor) }
    var raw: baton_version { baton_version(major: major, minor: minor) }

    public static func < (a: Self, b: Self) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
    public var description: String { "\(major).\(minor)" }
}

/// The versions one side speaks, inclusive.
public struct ABIRange: Hashable, Sendable, CustomStringConvertible {
    public var minimum: ABIVersion
    public var maximum: ABIVersion

    public init(_ minimum: ABIVersion, _ maximum: ABIVersion) {
        self.minimum = minimum
        self.maximum = maximum
    }

    /// What this host speaks: from the first minor of its major to its own.
    public static let host = ABIRange(ABIVersion(BATON_ABI_MAJOR, 0), ABIVersion(BATON_ABI_MAJOR, BATON_ABI_MINOR))

    public func contains(_ version: ABIVersion) -> Bool { minimum <= version && version <= maximum }
    public func meets(_ other: ABIRange) -> Bool { minimum <= other.maximum && other.minimum <= maximum }
    public var description: String { "\(minimum)..\(maximum)" }
}
