public import CDriver
import Glibc

/// Which clock a time is on. The two never mix in one figure.
public enum Clock: Int32, Sendable, Hashable {
    /// CLOCK_MONOTONIC of the host.
    case wall = 1
    /// A device model's own, from when the device was opened.
    case modelled = 2

    public var raw: baton_clock { rawValue }

    /// Now on the wall clock, nanoseconds.
    public static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(bitPattern: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }
}

/// When work began and ended, nanoseconds on `clock`.
public struct Times: Sendable, Hashable {
    public var clock: Clock
    public var start: UInt64
    public var end: UInt64

    public init(_ clock: Clock, start: UInt64, end: UInt64) {
        self.clock = clock
        self.start = start
        self.end = end
    }

    /// From `start` until now on the wall clock.
    public static func wall(since start: UInt64) -> Times { Times(.wall, start: start, end: Clock.now()) }
}
