import CDriver
import Glibc
import Logging
import Synchronization

/// Holds what the host passes against the contract: parameters, lifetimes, threads, leaks. Each finding is one line of the log at warning: the call, what was
/// passed, which rule. A call with a handle that is not there goes no further, as the driver could not take it; all others reach the driver, whose answer stands.
/// No parameters.
final class ValidateLayer: Layer {
    /// A rule of the contract that was not kept.
    struct Finding: Sendable, Hashable {
        var call: CallName
        var passed: String
        var rule: String
    }
    private struct State {
        var devices: [Int: LiveObjects] = [:]
        var findings: [Finding] = []
        var count = 0
    }
    private let place: LayerPlace
    private let state = Mutex(State())
    /// Lines of the log at most; all are counted.
    private static let lines = 1_000

    init(_ place: LayerPlace) { self.place = place }

    /// What was found so far, the first thousand.
    var findings: [Finding] { state.withLock { $0.findings } }

    func around(_ call: Call, _ next: NextLayer) -> baton_code {
        guard let device = call.device else { return checkedWithoutDevice(call, next) }
        var check = state.withLock { CallCheck(call, $0.devices[device.number] ?? LiveObjects()) }
        check.run()
        for rule in check.broken { report(call, rule) }
        if check.isUnusable {
            return call.name.isRelease ? 0 : call.refuse(.invalidArgument, "validate: \(check.broken.first ?? "a handle is not there")")
        }
        let code: baton_code
        if case .notify(let timeline, let value, let callback?, let user) = call.arguments {
            code = CallbackMark.notify(call, timeline, value, callback, user, next)
        } else { code = next(call) }
        if code == 0 || (call.name == .quiesce && code == DriverError.Code.deadlineExceeded.rawValue) { settle(call, device.number) }
        return code
    }

    private func checkedWithoutDevice(_ call: Call, _ next: NextLayer) -> baton_code {
        switch call.arguments {
        case .describe(let options, let out):
            if options == nil { report(call, "options are never null (driver.h)") }
            if out == nil { report(call, "there is a place for the answer (driver.h)") }
        case .open(let options, let out):
            if options == nil { report(call, "options are never null (device.h)") }
            if out == nil { report(call, "there is a place for the device (device.h)") }
        case .kvLayouts(_, let desc, _, let out, let capacity, let count):
            if desc == nil { report(call, "a pool is described (kv.h)") }
            if count == nil { report(call, "there is a place for the count (kv.h)") }
            if out == nil, capacity > 0 { report(call, "out may be null only with capacity 0 (kv.h)") }
        case .estimate(_, let desc, let work, let out):
            if desc == nil || work == nil || out == nil { report(call, "program, work and a place for the answer are given (cost.h)") }
        case .memory(_, let desc, _, _, let out):
            if desc == nil || out == nil { report(call, "program and a place for the answer are given (cost.h)") }
        default: break
        }
        return next(call)
    }

    /// What a call that succeeded made, promised or ended.
    private func settle(_ call: Call, _ number: Int) {
        if call.name == .close { return closed(call, number) }
        state.withLock { state in
            var live = state.devices[number] ?? LiveObjects()
            live.take(call)
            state.devices[number] = live
        }
    }

    private func closed(_ call: Call, _ number: Int) {
        let live = state.withLock { $0.devices.removeValue(forKey: number) } ?? LiveObjects()
        if !live.isQuiesced { report(call, "a device is quiesced before it is closed (device.h)") }
        if let leaks = live.leaks { report(call, "what was made is released before close: left are \(leaks) (device.h)") }
    }

    private func report(_ call: Call, _ rule: String) {
        let finding = Finding(call: call.name, passed: call.text, rule: rule)
        let shown = state.withLock { state -> Bool in
            state.count += 1
            if state.count <= Self.lines { state.findings.append(finding) }
            return state.count <= Self.lines
        }
        guard shown else { return }
        place.logger.warning("validate: device \(place.device): \(call.name.rawValue)(\(finding.passed)): rule: \(rule)")
    }
}

extension LiveObjects {
    /// Keeps what a successful call changed.
    mutating func take(_ call: Call) {
        func made(_ out: Call.Made, _ object: Object) { if let handle = out?.pointee { self[handle, object.kind] = object } }
        let words = "\(call.name.rawValue)(\(call.text))"
        switch call.arguments {
        case .quiesce: isQuiesced = true
        case .allocate(let length, let out): made(out, Object(kind: .buffer, extent: length, made: words))
        case .importMemory(let memory, _, let out): made(out, Object(kind: .buffer, extent: memory?.pointee.length ?? 0, made: words))
        case .compile(let desc, let out): made(out, Object(kind: .program, program: desc.map { ProgramFacts($0) }, made: words))
        case .createTimeline(let value, let out): made(out, Object(kind: .timeline, promised: value, made: words))
        case .kvCreate(let desc, let out), .kvAdopt(let desc, _, _, let out):
            made(out, Object(kind: .pool, extent: UInt64(desc?.pointee.block_count ?? 0), blockTokens: desc?.pointee.block_tokens ?? 0, made: words))
        case .releaseBuffer(let handle?), .releaseProgram(let handle?), .releaseTimeline(let handle?), .kvRelease(let handle?): _ = remove(handle)
        case .map(let handle?, _, _): self[handle, .buffer]?.isMapped = true
        case .unmap(let handle?): self[handle, .buffer]?.isMapped = false
        case .signal(let handle?, let value): promise(handle, value)
        case .fail(let handle?, _): self[handle, .timeline]?.hasFailed = true
        case .submit(let program, let batch, let sync):
            use([program, batch?.pointee.pool] + CallCheck.buffers(of: batch), sync)
        case .kvExport(let move), .kvImport(let move): use([move.pool], move.sync)
        case .kvCopyBlocks(let pool, _, _, _, let sync): use([pool], sync)
        case .copy(let copy): use([copy.to, copy.from], copy.sync)
        default: break
        }
    }

    private mutating func promise(_ timeline: OpaquePointer, _ value: UInt64) {
        guard var object = self[timeline, .timeline] else { return }
        object.promised = max(object.promised, value)
        self[timeline, .timeline] = object
    }

    private mutating func use(_ handles: [OpaquePointer?], _ sync: UnsafePointer<baton_sync>?) {
        guard let sync = sync?.pointee else { return }
        for point in UnsafeBufferPointer(start: sync.signals, count: Int(sync.signal_count)) where point.timeline != nil { promise(point.timeline, point.value) }
        guard sync.signal_count > 0, let first = sync.signals?.pointee, let timeline = first.timeline else { return }
        for handle in handles.compactMap({ $0 }) where kind(of: handle) != nil {
            guard let kind = kind(of: handle), var object = self[handle, kind] else { continue }
            object.lastUse = (timeline, first.value)
            self[handle, kind] = object
        }
    }
}

/// Which threads are inside a callback of a driver just now.
enum CallbackMark {
    private static let threads = Mutex<[UInt: Int]>([:])

    /// True on a thread that a driver calls back on.
    static var isInside: Bool { threads.withLock { ($0[UInt(pthread_self())] ?? 0) > 0 } }

    private final class Passed {
        let callback: baton_callback
        let user: UnsafeMutableRawPointer?
        init(_ callback: @escaping baton_callback, _ user: UnsafeMutableRawPointer?) {
            self.callback = callback
            self.user = user
        }
    }

    /// Asks for a callback that marks its thread. A callback that never comes keeps a few bytes.
    static func notify(
        _ call: Call, _ timeline: OpaquePointer?, _ value: UInt64, _ callback: @escaping baton_callback, _ user: UnsafeMutableRawPointer?, _ next: NextLayer
    ) -> baton_code {
        let box = Unmanaged.passRetained(Passed(callback, user))
        var marked = call
        marked.arguments = .notify(timeline, value, { user, event in
            guard let user else { return }
            let passed = Unmanaged<Passed>.fromOpaque(user).takeRetainedValue()
            let thread = UInt(pthread_self())
            CallbackMark.threads.withLock { $0[thread, default: 0] += 1 }
            passed.callback(passed.user, event)
            CallbackMark.threads.withLock { threads in
                threads[thread, default: 1] -= 1
                if threads[thread] == 0 { threads[thread] = nil }
            }
        }, box.toOpaque())
        let code = next(marked)
        if code != 0 { box.release() }
        return code
    }
}
