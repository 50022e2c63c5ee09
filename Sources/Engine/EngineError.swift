public import Driver

/// What went wrong on the main path, in one line: what was asked, what was found, what to do.
public struct EngineError: Error, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        /// The manifest, the model or the request is wrong; nothing was run.
        case usage
        /// The stages cannot be placed on the devices: capacity, layouts, dtypes.
        case placement
        /// A driver or device failed.
        case driver
        /// KV did not get across.
        case handoff
        /// A foreign stage refused or failed.
        case foreign
        /// There is no room now: a queue is full or a limit is reached. `retryAfter` says when to ask again.
        case busy
        /// A device that it needs failed and rests. `retryAfter` says when to ask again.
        case unavailable

        /// Turned away for now: the same request may be answered later.
        public var isRefusal: Bool { self == .busy || self == .unavailable }
    }
    public var kind: Kind
    public var words: String
    /// Seconds after which asking again may help; nil where it will not.
    public var retryAfter: Double?

    /// The device is gone with its driver's process; opened anew it may work.
    public internal(set) var isLost = false

    public init(_ kind: Kind, _ words: String) {
        self.kind = kind
        self.words = words
    }

    public init(_ error: DriverError) {
        self.init(.driver, error.description)
        isLost = error.code == .unavailable
    }
    public var description: String { words }

    /// Runs `body` and turns a driver's failure into the main path's.
    static func wrapping<R>(_ body: () throws(DriverError) -> R) throws(EngineError) -> R {
        do throws(DriverError) { return try body() } catch { throw EngineError(error) }
    }
}
