import CHost
import Glibc

/// How a driver runs in a process of its own, and what happens when that process ends.
public struct Isolation: Sendable, Hashable {
    /// The program that the child runs; nil for `baton-driver-host` beside this program, or BATON_DRIVER_HOST.
    public var program: String?
    /// After so many seconds a call that ought to return at once is given up and the child ended.
    public var callDeadline = 30
    /// The same for compile.
    public var compileDeadline = 1_800
    /// The same for work that waits for nothing, counted while somebody waits for it.
    public var workDeadline = 120
    /// After so many seconds without an answer to a heartbeat the child is ended.
    public var heartbeat = 20
    /// Bytes of private memory the child may have; nil for as many as the machine has.
    public var memoryBytes: UInt64?
    /// Processors it may run on at most; nil for those of this process.
    public var processors: Int?
    /// Processor seconds it may use in all; nil without a bound.
    public var processorSeconds: Int?
    /// Whether files, network and processes are fenced off.
    public var isFenced = true
    public var restart = RestartPolicy()

    public init(program: String? = nil) { self.program = program }

    /// What BATON_ISOLATION asks for every device: `process`; nil for anything else, and where the environment is not to be trusted.
    public static var ofEnvironment: Isolation? {
        guard chost_is_elevated() == 0, let word = getenv("BATON_ISOLATION"), String(cString: word) == "process" else { return nil }
        return Isolation()
    }
}

/// How often and how soon a child is started again.
public struct RestartPolicy: Sendable, Hashable {
    /// Ends of the child within `window` that are followed by a new start; one more and it stays down. 0: it is never started again.
    public var budget = 3
    /// Nanoseconds.
    public var window: UInt64 = 60_000_000_000
    /// Nanoseconds before the first new start; each further one within the window waits twice as long, up to `longestPause`.
    public var firstPause: UInt64 = 100_000_000
    public var longestPause: UInt64 = 5_000_000_000

    public init(budget: Int = 3) { self.budget = budget }
}
