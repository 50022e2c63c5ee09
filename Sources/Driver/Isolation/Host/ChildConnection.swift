import CDriver
import CHost
import CIsolation
import Glibc
import Synchronization

/// One child process, from its start to its end: calls over channels, what it says unasked, and how it ended. Any thread.
///
/// Once the child has ended, every call that runs and every later one fails with UNAVAILABLE and the same words.
final class ChildConnection: @unchecked Sendable {
    let isolation: Isolation
    /// What the child is called in words: the driver's name or path.
    let title: String
    let process: pid_t
    private let control: Int32
    private let output: Int32
    private let log: @Sendable (Int32, String) -> Void
    private let state = Mutex(State())
    private let latch = Latch()
    /// Notices handled so far, and whether the child has been reaped. Inside the latch.
    private var handled: UInt64 = 0
    private var isReaped = false
    /// Set before the child is ended by this side, so that its end is given that reason.
    private let doomed = Mutex<String?>(nil)
    private let missedBeats = Atomic<Int>(0)
    private let watcher = Atomic<UInt>(0)

    private struct State: @unchecked Sendable {
        var idle: [Channel] = []
        var all: [Channel] = []
        /// Why it is gone.
        var failure: String?
        var nextToken: UInt64 = 1
        var callbacks: [UInt64: Callback] = [:]
        var progress: [UInt64: @Sendable (Double) -> Void] = [:]
        /// Shared memory the child has mapped.
        var segments: Set<UInt64> = []
        var unfinished: [UInt64: UInt64] = [:]
    }

    struct Callback: @unchecked Sendable {
        var function: baton_callback
        var user: UnsafeMutableRawPointer?
        var device: RemoteObject
        var timeline: RemoteObject
    }

    /// Starts the child. It has loaded nothing yet.
    init(
        _ isolation: Isolation, title: String, program: String, log: @escaping @Sendable (Int32, String) -> Void
    ) throws(DriverError) {
        var (sockets, pipe): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        func refuse(_ words: String) -> DriverError {
            for descriptor in sockets + pipe where descriptor >= 0 { Glibc.close(descriptor) }
            return DriverError(.unavailable, driver: title, call: "start", detail: words)
        }
        guard cisolation_pair(&sockets) == 0, cisolation_pipe(&pipe) == 0 else { throw refuse("no sockets for a child process: \(String(cString: strerror(errno)))") }
        var child: pid_t = 0
        let started = Self.start(program, sockets[1], pipe[1], &child)
        guard started == 0 else {
            throw refuse("\(program) cannot be started: \(String(cString: strerror(-started))); it is built beside this program, or named by BATON_DRIVER_HOST")
        }
        Glibc.close(sockets[1])
        Glibc.close(pipe[1])
        self.isolation = isolation
        self.title = title
        self.log = log
        process = child
        control = sockets[0]
        output = pipe[0]
        SharedMemory.register(self)
        watch()
    }

    private static func start(_ program: String, _ socket: Int32, _ output: Int32, _ child: inout pid_t) -> Int32 {
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
        // A driver that crashes is said in one line by this side; a backtrace would need programs that the child may not start.
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no")]
        var next = environ
        while let entry = next.pointee {
            if strncmp(entry, "SWIFT_BACKTRACE=", 16) != 0, strncmp(entry, "BATON_ISOLATION=", 16) != 0 { environment.append(strdup(entry)) }
            next += 1
        }
        environment.append(nil)
        defer { for text in arguments + environment { free(text) } }
        return cisolation_start(program, &arguments, &environment, socket, output, &child)
    }

    // MARK: calls

    struct Reply {
        var code: baton_code
        var vendorCode: Int64
        var words: String
        var reader: WireReader
        var descriptors: [Int32]
        /// As the channel's `piece`, until the reply is let go.
        let channel: Channel
        /// The child could not make the call at all.
        var isBare: Bool { code != 0 && reader.remaining == 0 }
    }

    /// Makes one call and hands its reply to `read`. `slots` of seconds a call may take are counted while it runs, so that a machine that was halted halts them too.
    /// - Throws: UNAVAILABLE when the child is gone or has to be ended for this.
    func call<R>(
        _ call: ChildCall, _ body: [UInt8], descriptors: [Int32] = [], seconds: Int? = nil, tag: UInt64 = 0, spins: Int32 = 0,
        prepare: (Channel) -> Void = { _ in }, read: (inout Reply) throws(WireError) -> R
    ) throws(DriverError) -> R {
        let channel = try acquire(call)
        channel.current.store(call.rawValue, ordering: .relaxed)
        channel.tag.store(tag, ordering: .relaxed)
        prepare(channel)
        var left = 4 * (seconds ?? isolation.callDeadline)
        do throws(Channel.Failure) {
            try channel.send(call.rawValue, body, descriptors: descriptors)
            let frame = try channel.receive(slice: 250, spins: spins) {
                left -= 1
                return left <= 0 || isGone
            }
            do throws(WireError) {
                guard frame.kind == call.rawValue else { throw WireError("it answered call \(frame.kind)") }
                var reply = try Self.reply(frame, channel)
                let result = try read(&reply)
                for descriptor in reply.descriptors { Glibc.close(descriptor) }
                release(channel)
                return result
            } catch {
                for descriptor in frame.descriptors { Glibc.close(descriptor) }
                throw .damaged(error.description)
            }
        } catch {
            switch error {
            case .closed: break
            case .timedOut: end("it did not return from \(call.words) in \(seconds ?? isolation.callDeadline) s")
            case .damaged(let words): end("its answer to \(call.words) cannot be read: \(words)")
            }
            throw lost(call)
        }
    }

    private static func reply(_ frame: Channel.Frame, _ channel: Channel) throws(WireError) -> Reply {
        var reader = frame.reader
        let code: Int32 = try reader.take()
        let vendor: Int64 = code == 0 ? 0 : try reader.take()
        let words = code == 0 ? "" : try reader.takeText(limit: 512)
        return Reply(code: code, vendorCode: vendor, words: words, reader: reader, descriptors: frame.descriptors, channel: channel)
    }

    private func acquire(_ call: ChildCall) throws(DriverError) -> Channel {
        enum Found { case idle(Channel), none, gone }
        let found = state.withLock { state -> Found in
            if state.failure != nil { return .gone }
            if let channel = state.idle.popLast() { return .idle(channel) }
            return state.all.count < 512 ? .none : .gone
        }
        switch found {
        case .idle(let channel): return channel
        case .gone: throw lost(call)
        case .none: return try open(call)
        }
    }

    /// A new line: both ends' socket and segment are made here and passed on.
    private func open(_ call: ChildCall) throws(DriverError) -> Channel {
        var sockets: [Int32] = [-1, -1]
        let segment = cisolation_memory("baton-channel", UInt64(Wire.segment))
        guard segment >= 0, cisolation_pair(&sockets) == 0 else {
            if segment >= 0 { Glibc.close(segment) }
            throw DriverError(.resourceExhausted, driver: title, call: call.words, detail: "no descriptors for another call of a driver in a child: \(String(cString: strerror(errno)))")
        }
        let notice = Self.notice(.channel)
        let sent = cisolation_send(control, notice, notice.count, [sockets[1], segment], 2)
        Glibc.close(sockets[1])
        do throws(WireError) {
            let channel = try Channel(.host, socket: sockets[0], segment: segment)
            guard sent == 0 else { throw WireError("the child has ended") }
            state.withLock { $0.all.append(channel) }
            return channel
        } catch { throw lost(call) }
    }

    private func release(_ channel: Channel) {
        channel.current.store(0, ordering: .relaxed)
        state.withLock { $0.idle.append(channel) }
    }

    /// Descriptors of this process that lead to the child; for tests.
    var descriptors: [Int32] { [control, output] + state.withLock { $0.all.map(\.socket) } }

    /// Whether the child has ended, or is being ended.
    var isGone: Bool { state.withLock { $0.failure != nil } }

    /// The error of a call to a child that has ended; waits until it is known how.
    private func lost(_ call: ChildCall) -> DriverError {
        end(nil)
        if !isWatcher { latch.wait { isReaped } }
        return DriverError(.unavailable, driver: title, call: call.words, detail: failure ?? "its process has ended")
    }

    /// Why it is gone; nil while it runs.
    var failure: String? { state.withLock { $0.failure } }

    // MARK: what it says unasked

    func add(_ callback: Callback) -> UInt64 {
        state.withLock { state in
            defer { state.nextToken += 1 }
            state.callbacks[state.nextToken] = callback
            return state.nextToken
        }
    }

    @discardableResult
    func take(callback token: UInt64) -> Callback? { state.withLock { $0.callbacks.removeValue(forKey: token) } }

    /// Callbacks of a device that has been quiesced never run.
    func dropCallbacks(of device: RemoteObject) {
        state.withLock { state in state.callbacks = state.callbacks.filter { $0.value.device !== device } }
    }

    func add(progress: @escaping @Sendable (Double) -> Void) -> UInt64 {
        state.withLock { state in
            defer { state.nextToken += 1 }
            state.progress[state.nextToken] = progress
            return state.nextToken
        }
    }

    func take(progress token: UInt64) { state.withLock { _ = $0.progress.removeValue(forKey: token) } }

    /// Returns once `count` notices have been handled, or the child has ended.
    func settle(notices count: UInt64) { if !isWatcher { latch.wait { handled >= count || isReaped } } }

    /// Names a batch that runs, or says that it has ended: told when the child ends.
    func began(batch tag: UInt64, on timeline: UInt64) { state.withLock { $0.unfinished[timeline] = tag } }
    func finished(on timeline: UInt64) { state.withLock { _ = $0.unfinished.removeValue(forKey: timeline) } }

    // MARK: shared memory

    /// Sends the child a segment it does not have yet.
    func know(_ memory: SharedMemory) throws(DriverError) {
        guard state.withLock({ $0.segments.insert(memory.id).inserted }) else { return }
        var body = WireWriter()
        body.put(memory.id)
        body.put(UInt64(memory.count))
        do throws(DriverError) {
            try call(.addSegment, body.bytes, descriptors: [memory.descriptor]) { reply throws(WireError) in
                guard reply.code == 0 else { throw WireError(reply.words) }
            }
        } catch {
            state.withLock { _ = $0.segments.remove(memory.id) }
            throw error
        }
    }

    func drop(_ segment: UInt64) {
        guard state.withLock({ $0.failure == nil && $0.segments.remove(segment) != nil }) else { return }
        var body = WireWriter()
        body.put(segment)
        _ = try? call(.dropSegment, body.bytes) { _ throws(WireError) in }
    }

    // MARK: its end

    /// Ends the child with SIGKILL; `reason` is told where it is the first. Returns at once.
    func end(_ reason: String?) {
        doomed.withLock { if $0 == nil { $0 = reason } }
        latch.look { if !isReaped { kill(process, SIGKILL) } }
    }

    /// Sends the child a signal, as the system would; nothing when it has ended.
    /// - Parameter waits: until the child has ended, for a signal that ends it; not on the thread of a callback.
    func send(_ signal: Int32, waits: Bool) {
        latch.look { if !isReaped { kill(process, signal) } }
        if waits { latch.wait { isReaped } }
    }

    /// Lets the child end by itself, ends it if it does not, and waits until it has.
    func shutDown() {
        doomed.withLock { if $0 == nil { $0 = "it was closed" } }
        Glibc.shutdown(control, Int32(SHUT_WR))
        latch.wait { isReaped }
    }

    private static func notice(_ kind: ChildNotice) -> [UInt8] {
        var writer = WireWriter()
        writer.put(kind.rawValue)
        return writer.bytes
    }

    private func watch() {
        let me = Unmanaged.passRetained(self).toOpaque()
        var thread = pthread_t()
        let made = pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            let connection = Unmanaged<ChildConnection>.fromOpaque(argument).takeRetainedValue()
            connection.listen()
            return nil
        }, me)
        guard made == 0 else {
            Unmanaged<ChildConnection>.fromOpaque(me).release()
            kill(process, SIGKILL)
            return reap()
        }
        pthread_detach(thread)
    }

    /// Until the child has ended: its notices, its output, its heartbeat.
    private func listen() {
        watcher.store(UInt(pthread_self()), ordering: .relaxed)
        chost_name_thread("baton-child")
        var lines = OutputLines()
        var isPrinting = true
        var closing = 0
        var beaten = Self.now
        func say(_ line: String) { log(2, "\(title) printed: \(line)") }
        while true {
            var polls = [pollfd(fd: control, events: Int16(POLLIN), revents: 0), pollfd(fd: isPrinting ? output : -1, events: Int16(POLLIN), revents: 0)]
            _ = poll(&polls, 2, 1_000)
            // Seconds are counted, not read from a clock: when the whole machine is halted, this thread is too.
            if Self.now &- beaten >= 1_000_000_000 {
                beaten = Self.now
                if doomed.withLock({ $0 != nil }) { closing += 1 }
                if closing >= 3 { kill(process, SIGKILL) }
                beat()
            }
            if polls[1].revents != 0 { isPrinting = lines.read(output, say) }
            if polls[0].revents != 0, !hear() { break }
        }
        // A driver may have closed the socket and live on.
        kill(process, SIGKILL)
        while isPrinting, lines.read(output, say) {}
        reap()
    }

    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Whether this is the thread that hears of the child's end, which thus cannot wait for it.
    private var isWatcher: Bool { watcher.load(ordering: .relaxed) == UInt(pthread_self()) }

    private func beat() {
        let ping = Self.notice(.ping)
        _ = cisolation_send(control, ping, ping.count, nil, 0)
        if missedBeats.add(1, ordering: .relaxed).newValue > isolation.heartbeat { end("it has not answered for \(isolation.heartbeat) s") }
    }

    /// One notice; false at the end of the stream.
    private func hear() -> Bool {
        var room = [UInt8](repeating: 0, count: 4_096)
        var descriptors = [Int32](repeating: -1, count: Int(CISOLATION_DESCRIPTORS))
        var count: Int32 = 0
        let length = cisolation_receive(control, &room, room.count, 0, &descriptors, &count)
        for descriptor in descriptors.prefix(Int(count)) { Glibc.close(descriptor) }
        if length == Int(-ETIMEDOUT) || length == Int(-EMSGSIZE) { return true }
        guard length > 0 else { return false }
        missedBeats.store(0, ordering: .relaxed)
        do throws(WireError) { try handle(WireReader(Array(room[..<length]))) } catch { end("what it sent cannot be read: \(error)") }
        return true
    }

    private func handle(_ frame: WireReader) throws(WireError) {
        var reader = frame
        guard let kind = ChildNotice(rawValue: try reader.take()) else { throw WireError("a notice of an unknown kind") }
        switch kind {
        case .log: log(try reader.take(), try reader.takeText())
        case .fired:
            let token: UInt64 = try reader.take()
            var event = try RemoteEvent.take(&reader)
            if let callback = take(callback: token) {
                callback.timeline.reached(event)
                callback.function(callback.user, &event)
            }
            latch.change { handled += 1 }
        case .progress:
            let token: UInt64 = try reader.take()
            let fraction = try reader.takeDouble()
            state.withLock { $0.progress[token] }?(fraction)
            latch.change { handled += 1 }
        case .pong: break
        case .channel, .ping: throw WireError("a notice that only a host sends")
        }
    }

    /// The child is no more: says how, fails everything.
    private func reap() {
        var status: Int32 = 0
        while waitpid(process, &status, 0) == -1, errno == EINTR {}
        let reason = words(status)
        let (callbacks, channels) = state.withLock { state -> ([Callback], [Channel]) in
            state.failure = reason
            defer { (state.callbacks, state.progress, state.idle, state.all) = ([:], [:], [], []) }
            return (Array(state.callbacks.values), state.all)
        }
        if doomed.withLock({ $0 != "it was closed" }) { log(4, "\(title): \(reason)") }
        for channel in channels { channel.hangUp() }
        latch.change { isReaped = true }
        for callback in callbacks {
            var event = baton_event.sized()
            event.code = DriverError.Code.unavailable.rawValue
            event.clock = baton_clock(BATON_CLOCK_WALL)
            callback.function(callback.user, &event)
        }
    }

    /// "its process 17 was ended by SIGSEGV (Segmentation fault) while it ran submit of batch 4"
    private func words(_ status: Int32) -> String {
        let signal = status & 0x7F
        let name = cisolation_signal_name(signal).map { String(cString: $0) } ?? "signal \(signal)"
        var text = "its process \(process) "
        text += signal == 0 ? "exited with status \(status >> 8 & 0xFF)" : "was ended by \(name) (\(String(cString: strsignal(signal))))"
        if let reason = doomed.withLock({ $0 }) { text = "its process \(process) was ended: \(reason)" }
        return text + running
    }

    private var running: String {
        state.withLock { state in
            let calls = state.all.compactMap { channel -> String? in
                guard let call = ChildCall(rawValue: channel.current.load(ordering: .relaxed)) else { return nil }
                let tag = channel.tag.load(ordering: .relaxed)
                return call.words + (tag == 0 ? "" : " of batch \(tag)")
            }
            let batches = Set(state.unfinished.values).sorted()
            let ran = calls.isEmpty ? "" : " while it ran \(Set(calls).sorted().joined(separator: ", "))"
            return ran + (batches.isEmpty ? "" : ", with \(batches.count == 1 ? "batch" : "batches") \(batches.map { "\($0)" }.joined(separator: ", ")) unfinished")
        }
    }

    deinit {
        Glibc.close(control)
        Glibc.close(output)
        SharedMemory.forget(ObjectIdentifier(self))
    }
}
