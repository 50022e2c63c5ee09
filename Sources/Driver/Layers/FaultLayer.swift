import CDriver
import Glibc
import Logging
import Synchronization

/// Seeded faults, as a bad driver, bus or device would make them.
///
/// `kind`: what happens. `drop`: the call says OK and does nothing. `delay`: it comes `for` later. `duplicate`: it is made twice. `corrupt`: 64 bytes of what it
/// moves become 0xFF, which no dtype reads as a number. `fail`: it gives `code`. `hang`: it does not return (or for `for`, if that is given). `die`: the process that the driver runs in
/// is sent `signal` (`abort` if that is not given) before the call, or with `layer: k` as soon as a submit's layer k is complete. That is an isolated driver's child, else this process.
/// `call`: the function, as a trace names it; without it every one that can have this fault. `at`: the k-th such call, from 1. `rate`: else each such call with this
/// probability, by `seed`. `times`: faults at most; 1 with `at`.
final class FaultLayer: Layer {
    enum Kind: String, CaseIterable { case drop, delay, duplicate, corrupt, fail, hang, die }
    private let place: LayerPlace
    private let kind: Kind
    private let call: CallName?
    private let code: DriverError.Code
    private let pause: UInt64?
    private let layer: UInt64?
    private let signal: Signal
    private let state: Mutex<FaultSchedule>

    static let parameters = ["kind", "call", "at", "rate", "times", "seed", "for", "code", "layer", "signal"]

    init(_ name: LayerName, _ place: LayerPlace) throws(DriverError) {
        let given = try LayerParameters(name, place, known: Self.parameters)
        guard let kind = try given.choice("kind", of: Kind.self) else {
            throw given.wrong("has no kind; give one of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.kind = kind
        self.place = place
        call = try given.choice("call", of: CallName.self)
        code = try given.choice("code", of: FaultCode.self)?.code ?? .unavailable
        pause = try given.time("for")
        layer = try given.whole("layer", 0...100_000)
        let (at, rate) = (try given.whole("at", 1...UInt64(Int64.max)), try given.fraction("rate"))
        guard (at == nil) != (rate == nil) else { throw given.wrong("needs one of at and rate; give at: 3 for the third call, or rate: 0.01") }
        if kind == .delay, pause == nil { throw given.wrong("of kind delay needs a time; give for: 50ms") }
        if layer != nil, kind != .die { throw given.wrong("has layer, which only kind die knows") }
        let signal = try given.choice("signal", of: Signal.self)
        if signal != nil, kind != .die { throw given.wrong("has signal, which only kind die knows") }
        self.signal = signal ?? .abort
        if let call, !Self.canHave(kind, call) { throw given.wrong("cannot make \(call.rawValue) \(kind.rawValue)") }
        let times = try given.whole("times", 1...UInt64(Int64.max))
        state = Mutex(FaultSchedule(at: at, rate: rate ?? 0, times: times ?? (at == nil ? .max : 1), seed: try given.whole("seed", 0...UInt64.max) ?? 0))
    }

    /// What may happen to a call. Releases and closes only come late, hang or die: what they free is not the host's any more.
    static func canHave(_ kind: Kind, _ call: CallName) -> Bool {
        switch kind {
        case .delay, .hang, .die: true
        case .fail: !call.isRelease
        case .drop, .duplicate: [.write, .read, .copy, .submit, .signal, .kvExport, .kvImport, .kvCopyBlocks].contains(call)
        case .corrupt: [.write, .read, .kvExport, .kvImport].contains(call)
        }
    }

    func around(_ call: Call, _ next: NextLayer) -> baton_code {
        guard self.call.map({ $0 == call.name }) ?? Self.canHave(kind, call.name) else { return next(call) }
        guard let (number, place) = state.withLock({ $0.next() }) else { return next(call) }
        self.place.logger.info("fault: device \(self.place.device): \(call.name.rawValue) number \(number): \(kind.rawValue)")
        switch kind {
        case .drop: return 0
        case .delay:
            DriverClock.sleep(nanoseconds: pause ?? 0)
            return next(call)
        case .duplicate:
            let code = next(call)
            _ = next(call)
            return code
        case .corrupt: return corrupt(call, place, next)
        case .fail: return call.refuse(code, "fault: \(call.name.rawValue) number \(number) was made to fail")
        case .hang:
            hang()
            // Whoever waited has gone on: the device may be closed by now.
            return call.refuse(.unavailable, "fault: \(call.name.rawValue) number \(number) hung")
        case .die: return die(call, next)
        }
    }

    private func hang() {
        if let pause { return DriverClock.sleep(nanoseconds: pause) }
        while true { DriverClock.sleep(nanoseconds: 1_000_000_000_000) }
    }

    /// Damages what was read or written: the bytes that come back, or a copy of those that go in.
    private func corrupt(_ call: Call, _ place: UInt64, _ next: NextLayer) -> baton_code {
        switch call.arguments {
        case .read(_, _, let out, let length):
            let code = next(call)
            if code == 0, let out { Self.damage(UnsafeMutableRawBufferPointer(start: out, count: Int(length)), place) }
            return code
        case .write(let buffer, let offset, let source, let length):
            guard let source, length > 0 else { return next(call) }
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(length), alignment: 64)
            defer { copy.deallocate() }
            copy.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(length)))
            Self.damage(copy, place)
            var changed = call
            changed.arguments = .write(buffer, offset, UnsafeRawPointer(copy.baseAddress), length)
            return next(changed)
        case .kvImport(let move):
            Self.memory(move).map { Self.damage($0, place) }
            return next(call)
        case .kvExport(let move):
            // Before the device writes there as well as after: the signal says when, and the bytes are the host's from then on.
            let code = next(call)
            guard code == 0, let device = call.device, let bytes = Self.memory(move) else { return code }
            if let point = move.sync?.pointee, point.signal_count > 0, let signal = point.signals?.pointee {
                var event = baton_event.sized()
                _ = device.driver.inner.timeline.wait?(device.inner, signal.timeline, signal.value, 5_000_000_000, &event, nil)
            }
            Self.damage(bytes, place)
            return code
        default: return next(call)
        }
    }

    private static func memory(_ move: Call.KVMove) -> UnsafeMutableRawBufferPointer? {
        guard let memory = move.memory?.pointee, memory.kind == BATON_MEMORY_HOST, memory.length > 0 else { return nil }
        return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: UInt(memory.address &+ memory.offset)), count: Int(memory.length))
    }

    private static func damage(_ bytes: UnsafeMutableRawBufferPointer, _ place: UInt64) {
        guard bytes.count > 0 else { return }
        let start = Int(place % UInt64(bytes.count)) & ~63
        for index in start..<min(start + 64, bytes.count) { bytes[index] = 0xFF }
    }

    /// At once, or from a callback when the layer's KV is complete. The call goes on: it ends as calls to a process that ended do.
    private func die(_ call: Call, _ next: NextLayer) -> baton_code {
        guard let layer, case .submit(_, _, let sync) = call.arguments, let point = sync?.pointee, let timeline = point.layer_timeline,
            let device = call.device
        else {
            end(waits: signal != .stop)
            return next(call)
        }
        let code = next(call)
        // Layers are kept for ever, so the callback finds this one whenever it comes.
        let me = Unmanaged.passUnretained(self).toOpaque()
        guard code == 0 else { return code }
        _ = device.driver.inner.timeline.notify?(device.inner, timeline, point.layer_base + layer + 1, { user, _ in
            if let user { Unmanaged<FaultLayer>.fromOpaque(user).takeUnretainedValue().end(waits: false) }
        }, me, nil)
        return code
    }

    private func end(waits: Bool) {
        guard let send = place.signal else { abort() }
        send(signal.number, waits)
    }

    /// What ends the driver's process; one that is stopped misses its heartbeats.
    private enum Signal: String, CaseIterable {
        case abort, segv, kill, stop
        var number: Int32 {
            switch self {
            case .abort: SIGABRT
            case .segv: SIGSEGV
            case .kill: SIGKILL
            case .stop: SIGSTOP
            }
        }
    }

    /// The contract's codes, as parameters name them.
    private enum FaultCode: String, CaseIterable {
        case cancelled = "CANCELLED", unknown = "UNKNOWN", invalidArgument = "INVALID_ARGUMENT", deadlineExceeded = "DEADLINE_EXCEEDED"
        case resourceExhausted = "RESOURCE_EXHAUSTED", aborted = "ABORTED", `internal` = "INTERNAL", unavailable = "UNAVAILABLE", dataLoss = "DATA_LOSS"
        var code: DriverError.Code {
            switch self {
            case .cancelled: .cancelled
            case .unknown: .unknown
            case .invalidArgument: .invalidArgument
            case .deadlineExceeded: .deadlineExceeded
            case .resourceExhausted: .resourceExhausted
            case .aborted: .aborted
            case .internal: .internal
            case .unavailable: .unavailable
            case .dataLoss: .dataLoss
            }
        }
    }
}

/// Which calls a fault meets: a value, so that a seed gives the same ones each time.
struct FaultSchedule: Sendable {
    private let at: UInt64?
    private let rate: Double
    private var left: UInt64
    private var random: UInt64
    private var count: UInt64 = 0

    init(at: UInt64?, rate: Double, times: UInt64, seed: UInt64) {
        self.at = at
        self.rate = rate
        left = times
        random = seed
    }

    /// Of the next call: its number from 1 and a random number for where the fault is, if there is to be one.
    mutating func next() -> (number: UInt64, place: UInt64)? {
        count += 1
        let (chance, place) = (draw(), draw())
        let hit = at.map { count >= $0 && left > 0 } ?? (Double(chance >> 11) / 9_007_199_254_740_992 < rate)
        guard hit, left > 0 else { return nil }
        left -= 1
        return (count, place)
    }

    /// SplitMix64.
    private mutating func draw() -> UInt64 {
        random &+= 0x9E37_79B9_7F4A_7C15
        var z = random
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
