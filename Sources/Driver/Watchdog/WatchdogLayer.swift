import CDriver
import Glibc
import Logging
import Synchronization

/// Gives every call into a device's driver a deadline. When it is late the caller gets DEADLINE_EXCEEDED, or UNAVAILABLE from an isolated driver, whose
/// process is ended, and goes on, and the device is lost: whatever is asked of it then is UNAVAILABLE at once, and what the host releases on it is left to it.
///
/// The call is made on another thread over copies of what it is passed, which may never come back. A driver in a process of its own is called where
/// it is asked, as every call of it returns once its process has ended.
///
/// Parameters, as of `WatchdogRules`: `open`, `compile`, `submit`, `batch`, `call`, `grace`, each a time.
final class WatchdogLayer: Layer {
    private let place: LayerPlace
    private let rules: WatchdogRules
    private let callsInPlace: Bool
    /// By device of the process; those opened, and number 0 for calls without a device.
    private let devices = Mutex<[Int: Watched]>([:])

    private struct Watched {
        var rules: WatchdogRules
        /// Which batch signals a timeline, the last for each.
        var batches: [UInt: UInt64] = [:]
    }

    init(_ name: LayerName, _ place: LayerPlace) throws(DriverError) {
        self.place = place
        let given = try LayerParameters(name, place, known: ["open", "compile", "submit", "batch", "call", "grace"])
        var rules = WatchdogRules()
        rules.open = try given.time("open") ?? rules.open
        rules.compile = try given.time("compile") ?? rules.compile
        rules.submit = try given.time("submit") ?? rules.submit
        rules.batch = try given.time("batch") ?? rules.batch
        rules.call = try given.time("call") ?? rules.call
        rules.grace = try given.time("grace") ?? rules.grace
        self.rules = rules
        callsInPlace = place.signal != nil && place.isInnermost
    }

    func around(_ call: Call, _ next: NextLayer) -> baton_code {
        let number = call.device?.number ?? 0
        if let words = devices.withLock({ $0[number]?.rules.refusal(of: call.name) }) {
            return call.name.isRelease ? 0 : call.refuse(.unavailable, "watchdog: \(words)")
        }
        note(call, number)
        let deadline = rules.deadline(of: call.name)
        let outcome = call.name == .wait ? wait(call, number, deadline, next) : guarded(call, number, deadline, deadline: deadline, next)
        if call.name == .close, case .returned = outcome { devices.withLock { _ = $0.removeValue(forKey: number) } }
        return switch outcome {
        case .returned(let code): code
        case .late(let words): call.name.isRelease ? 0 : call.refuse(place.signal == nil ? .deadlineExceeded : .unavailable, "watchdog: \(words)")
        }
    }

    private enum Outcome {
        case returned(baton_code)
        /// What is said of it.
        case late(String)
    }

    /// Makes a call that may take `limit`; what is said when it is late names `deadline`.
    private func guarded(_ call: Call, _ number: Int, _ limit: UInt64, deadline: UInt64, _ next: NextLayer) -> Outcome {
        if callsInPlace { return watched(call, number, limit, deadline, next) }
        let arena = CallArena()
        let owned = arena.owned(call)
        guard let code = CallThread.run(upTo: limit, { withExtendedLifetime(arena) { next(owned) } }) else { return expired(call, number, deadline) }
        arena.giveBack()
        return .returned(code)
    }

    /// On this thread; what follows from its being late is done by others.
    private func watched(_ call: Call, _ number: Int, _ limit: UInt64, _ deadline: UInt64, _ next: NextLayer) -> Outcome {
        let ticket = CallWatch.shared.begin(limit) { [self] in
            let actions = actions(call, number, deadline)
            _ = CallThread.run(upTo: 0) {
                self.carryOut(actions, call.device, number)
                return 0
            }
            return Self.words(actions)
        }
        let code = next(call)
        return CallWatch.shared.end(ticket).map { .late($0) } ?? .returned(code)
    }

    /// A wait ends by itself at the deadline; one that does not is late a little after it. A caller's own shorter timeout stays his.
    private func wait(_ call: Call, _ number: Int, _ deadline: UInt64, _ next: NextLayer) -> Outcome {
        guard case .wait(let timeline, let value, let timeout, let out) = call.arguments else { return .returned(next(call)) }
        var shorter = call
        shorter.arguments = .wait(timeline, value, min(timeout, deadline), out)
        let (limit, overflow) = min(timeout, deadline).addingReportingOverflow(rules.grace)
        let outcome = guarded(shorter, number, overflow ? .max : limit, deadline: deadline, next)
        guard case .returned(DriverError.Code.deadlineExceeded.rawValue) = outcome, timeout > deadline else { return outcome }
        return expired(call, number, deadline)
    }

    private func note(_ call: Call, _ number: Int) {
        guard case .submit(_, let batch?, let sync?) = call.arguments else { return }
        let points = UnsafeBufferPointer(start: sync.pointee.signals, count: sync.pointee.signals == nil ? 0 : Int(sync.pointee.signal_count))
        let timelines = points.map { UInt(bitPattern: $0.timeline) }
        let tag = batch.pointee.tag
        devices.withLock { devices in
            for timeline in timelines { devices[number, default: Watched(rules: rules)].batches[timeline] = tag }
        }
    }

    private func request(_ call: Call, _ number: Int) -> String {
        switch call.arguments {
        case .submit(_, let batch?, _): "batch \(batch.pointee.tag)"
        case .wait(let timeline?, _, _, _): batch(signalling: UInt(bitPattern: timeline), number)
        default: ""
        }
    }

    private func batch(signalling timeline: UInt, _ number: Int) -> String {
        devices.withLock { $0[number]?.batches[timeline].map { "batch \($0)" } ?? "" }
    }

    /// The device is lost, and what follows is done.
    private func expired(_ call: Call, _ number: Int, _ deadline: UInt64) -> Outcome {
        let actions = actions(call, number, deadline)
        carryOut(actions, call.device, number)
        return .late(Self.words(actions))
    }

    private func actions(_ call: Call, _ number: Int, _ deadline: UInt64) -> [WatchdogRules.Action] {
        let request = request(call, number)
        return devices.withLock { devices in
            devices[number, default: Watched(rules: rules)].rules.expired(
                call.name, after: deadline, driver: place.driver, device: place.device, request: request, isIsolated: place.signal != nil)
        }
    }

    private func carryOut(_ actions: [WatchdogRules.Action], _ device: LayeredDevice?, _ number: Int) {
        for action in actions {
            switch action {
            case .log(let line): place.logger.error("\(line)")
            case .quiesce(let grace): if let device { quiesce(device, grace) }
            case .endProcess:
                place.signal?(SIGKILL, true)
                devices.withLock { $0[number]?.rules.quiesced() }
            case .abandon: break
            }
        }
    }

    private static func words(_ actions: [WatchdogRules.Action]) -> String {
        for case .abandon(let words) in actions { return words }
        return ""
    }

    /// Lets the driver end what it has, if it still can. Cancelled work is ended work.
    private func quiesce(_ device: LayeredDevice, _ grace: UInt64) {
        let (ended, overflow) = grace.multipliedReportingOverflow(by: 2)
        let code = CallThread.run(upTo: overflow ? grace : ended) { device.driver.inner.device.quiesce?(device.inner, grace, nil) ?? 0 }
        guard let code, code == 0 || code == DriverError.Code.deadlineExceeded.rawValue else { return }
        devices.withLock { $0[device.number]?.rules.quiesced() }
    }
}
