/// How long a driver may take, and what follows when it takes longer. A value; time comes in, actions come out.
public struct WatchdogRules: Sendable, Hashable {
    /// Nanoseconds that each class of call may take. `call` is for every function not named otherwise; `batch` for waits: how long queued work may take.
    public var open: UInt64 = 60_000_000_000
    public var compile: UInt64 = 600_000_000_000
    public var submit: UInt64 = 2_000_000_000
    public var batch: UInt64 = 60_000_000_000
    public var call: UInt64 = 10_000_000_000
    /// For cancelling and quiescing a device that was too late.
    public var grace: UInt64 = 1_000_000_000

    public init() {}

    /// What a device is to the host.
    enum State: Sendable, Hashable {
        case works
        /// A call was too late: nothing more is asked of it. `isQuiet`: it has ended its work since, so that what was made on it can be released.
        case lost(String, isQuiet: Bool)
    }
    private(set) var state = State.works

    /// What is to be done, in this order.
    enum Action: Sendable, Hashable {
        /// One line of the log.
        case log(String)
        /// Ask the driver to cancel and end what it has; wait for it so many nanoseconds, and tell `quiesced` when it has.
        case quiesce(UInt64)
        /// The driver has a process of its own: end it, and what it had with it. A device opened anew is in a new one, as the crash budget allows.
        case endProcess
        /// The caller gets this failure and goes on; the thread in the driver is left behind.
        case abandon(String)
    }

    /// Nanoseconds that a call may take.
    func deadline(of name: CallName) -> UInt64 {
        switch name {
        case .open, .close, .quiesce: open
        case .compile: compile
        case .submit, .kvExport, .kvImport, .kvCopyBlocks: submit
        case .wait: batch
        default: call
        }
    }

    /// Why a call is not made; nil to make it. A device that is lost and quiet still takes back what was made on it, and may be quiesced again,
    /// which tells who asks that its work has ended.
    func refusal(of name: CallName) -> String? {
        guard case .lost(let words, let isQuiet) = state, !(isQuiet && (name.isRelease || name == .quiesce)) else { return nil }
        return "the device is lost: \(words)"
    }

    /// The driver has ended what the device had.
    mutating func quiesced() { if case .lost(let words, _) = state { state = .lost(words, isQuiet: true) } }

    /// A call has not returned in its time.
    /// - Parameters:
    ///   - request: what it worked for, as "batch 7", or empty.
    ///   - isIsolated: the driver has a process of its own.
    mutating func expired(
        _ name: CallName, after nanoseconds: UInt64, driver: String, device: String, request: String, isIsolated: Bool = false
    ) -> [Action] {
        let words = "\(name.rawValue) took more than \(Self.text(nanoseconds))\(request.isEmpty ? "" : " for \(request)")"
        guard case .works = state else {
            state = .lost(words, isQuiet: false)
            return [.abandon(words)]
        }
        state = .lost(words, isQuiet: false)
        let line = "watchdog: driver \(driver), device \(device): \(words); "
        guard isIsolated else { return [.log(line + "the device is given up"), .quiesce(grace), .abandon(words)] }
        return [.log(line + "its process is ended"), .quiesce(grace), .endProcess, .abandon(words)]
    }

    static func text(_ nanoseconds: UInt64) -> String {
        nanoseconds % 1_000_000_000 == 0 ? "\(nanoseconds / 1_000_000_000) s" : "\(nanoseconds / 1_000_000) ms"
    }
}
