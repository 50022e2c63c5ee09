/// The host's rising clock, nanoseconds.
public enum WallClock {
    private static let origin = ContinuousClock().now

    public static var now: UInt64 {
        let passed = origin.duration(to: ContinuousClock().now).components
        return UInt64(passed.seconds) &* 1_000_000_000 &+ UInt64(passed.attoseconds / 1_000_000_000)
    }
}
