import Glibc

/// The host's rising clock: CLOCK_MONOTONIC, nanoseconds, which is also what drivers time their events on.
public enum WallClock {
    public static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(bitPattern: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }
}
