import CDriver
import CIsolation
import Glibc
import Logging
import Synchronization

/// The child's side: takes the setup, fences itself in, loads the driver and makes the calls it is asked for, each channel on a thread of its own.
///
/// One for a process. It trusts the host with what is true, and with nothing about form: a frame that cannot be read is answered with INVALID_ARGUMENT.
package final class ChildServer: @unchecked Sendable {
    /// Where the host's socket is in a child.
    package static let socket: Int32 = 3

    let control: Int32
    let objects = ChildObjects()
    /// Notices sent that the host counts.
    let notices = Atomic<UInt64>(0)
    private let loaded = Mutex<ChildDriver?>(nil)

    /// Callbacks of the driver find their server here.
    static let shared = Mutex<ChildServer?>(nil)
    /// The callback that ran while its own notify had not returned, on this thread.
    private let answering = Mutex<[UInt: Answering]>([:])
    private struct Answering {
        var token: UInt64
        var event: baton_event?
    }

    /// Takes over the socket.
    package init(control: Int32) {
        self.control = control
        Self.shared.withLock { $0 = self }
    }

    /// Serves until the host is gone. Blocks.
    package func run() {
        var room = [UInt8](repeating: 0, count: 1_024)
        var descriptors = [Int32](repeating: -1, count: Int(CISOLATION_DESCRIPTORS))
        while true {
            var count: Int32 = 0
            let length = cisolation_receive(control, &room, room.count, -1, &descriptors, &count)
            if length == Int(-EMSGSIZE) { continue }
            guard length > 0 else { return }
            var reader = WireReader(Array(room[..<length]))
            let kind = (try? reader.take(UInt16.self)).flatMap { ChildNotice(rawValue: $0) }
            if kind == .ping { tell(.pong) { _ in } }
            guard kind == .channel, count == 2 else {
                for descriptor in descriptors.prefix(Int(count)) { close(descriptor) }
                continue
            }
            if let channel = try? Channel(.child, socket: descriptors[0], segment: descriptors[1]) { take(channel) } else { return }
        }
    }

    /// The first channel's first call is the setup. It is done on this thread, the only one there is then: a fence holds for the thread that puts it up and
    /// for those it starts.
    private func take(_ channel: Channel) {
        if loaded.withLock({ $0 == nil }) { serve(channel, once: true) }
        guard loaded.withLock({ $0 != nil }) else { return }
        let line = Unmanaged.passRetained(Line(server: self, channel: channel)).toOpaque()
        var thread = pthread_t()
        let made = pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            let line = Unmanaged<Line>.fromOpaque(argument).takeRetainedValue()
            line.server.serve(line.channel, once: false)
            return nil
        }, line)
        if made == 0 { pthread_detach(thread) } else { Unmanaged<Line>.fromOpaque(line).release() }
    }

    private final class Line {
        let server: ChildServer
        let channel: Channel
        init(server: ChildServer, channel: Channel) {
            self.server = server
            self.channel = channel
        }
    }

    private func serve(_ channel: Channel, once: Bool) {
        repeat {
            // A call seldom comes alone: what a host does between two of a step is shorter than a wake-up.
            guard let frame = try? channel.receive(spins: Channel.spins) else { return }
            var reply = answer(frame, channel)
            for descriptor in frame.descriptors { close(descriptor) }
            do throws(Channel.Failure) { try channel.send(frame.kind, reply.frame, descriptors: reply.descriptors) } catch {
                guard case .damaged(let words) = error else { return }
                reply = ChildAnswer(refusing: DriverError.Code.outOfRange.rawValue, words)
                guard (try? channel.send(frame.kind, reply.frame)) != nil else { return }
            }
        } while !once
    }

    /// Makes the call of a frame.
    func answer(_ frame: Channel.Frame, _ channel: Channel) -> ChildAnswer {
        do throws(WireError) {
            guard let call = ChildCall(rawValue: frame.kind) else { throw WireError("call \(frame.kind) is not known") }
            var reader = frame.reader
            if call == .load { return try load(&reader, frame.descriptors.first) }
            guard let driver = loaded.withLock({ $0 }) else { throw WireError("\(call.words) before the setup") }
            return try driver.answer(call, &reader, frame.descriptors, channel)
        } catch {
            return ChildAnswer(refusing: DriverError.Code.invalidArgument.rawValue, "the driver's process cannot make this call: \(error)")
        }
    }

    private func load(_ reader: inout WireReader, _ library: Int32?) throws(WireError) -> ChildAnswer {
        let setup = try ChildSetup(from: &reader)
        guard loaded.withLock({ $0 == nil }) else { throw WireError("it is set up already") }
        cisolation_print_lines()
        var answer = ChildAnswer()
        answer.payload.put(ChildFence(setup).raise())
        let driver = ChildDriver(setup, library.map { fcntl($0, F_DUPFD_CLOEXEC, 16) }, self)
        loaded.withLock { $0 = driver }
        return answer
    }

    // MARK: what it says unasked

    private func tell(_ kind: ChildNotice, _ body: (inout WireWriter) -> Void) {
        var writer = WireWriter()
        writer.put(kind.rawValue)
        body(&writer)
        _ = cisolation_send(control, writer.bytes, writer.bytes.count, nil, 0)
    }

    func log(_ level: Int32, _ line: String) {
        tell(.log) { writer in
            writer.put(level)
            writer.put(String(line.prefix(2_000)))
        }
    }

    func report(progress token: UInt64, _ fraction: Double) {
        notices.add(1, ordering: .sequentiallyConsistent)
        tell(.progress) { writer in
            writer.put(token)
            writer.put(fraction)
        }
    }

    /// Runs `body`, which registers callback `token`; gives its code, and the event if the callback ran at once, on this thread.
    func registering(_ token: UInt64, _ body: () -> baton_code) -> (baton_code, baton_event?) {
        let me = UInt(pthread_self())
        answering.withLock { $0[me] = Answering(token: token) }
        let code = body()
        let event = answering.withLock { $0.removeValue(forKey: me) }?.event
        return (code, event)
    }

    /// The driver called back.
    func fired(_ token: UInt64, _ event: baton_event) {
        guard objects.take(callback: token) else { return }
        let me = UInt(pthread_self())
        let isAnswer = answering.withLock { answering -> Bool in
            guard answering[me]?.token == token else { return false }
            answering[me]?.event = event
            return true
        }
        if isAnswer { return }
        notices.add(1, ordering: .sequentiallyConsistent)
        tell(.fired) { writer in
            writer.put(token)
            RemoteEvent.put(event, to: &writer)
        }
    }
}

/// What a call came to, on its way to the host.
struct ChildAnswer {
    var code: baton_code = 0
    var vendorCode: Int64 = 0
    var words = ""
    var payload = WireWriter()
    /// Lent until it is sent.
    var descriptors: [Int32] = []

    init() {}

    /// A call that was not made.
    init(refusing code: baton_code, _ words: String) {
        self.code = code
        self.words = String(words.prefix(480))
    }

    var frame: [UInt8] {
        var writer = WireWriter()
        writer.put(code)
        if code != 0 {
            writer.put(vendorCode)
            writer.put(words)
        }
        return writer.bytes + payload.bytes
    }
}

/// What the child may reach: itself, the system's libraries, the drivers it may open; nothing that it can change.
struct ChildFence {
    private let setup: ChildSetup

    init(_ setup: ChildSetup) { self.setup = setup }

    private static let system = [
        "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system",
        "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
    ]

    private var readable: [String] {
        let files = [setup.path] + setup.search.added + (setup.search.files ?? [])
        let folders = files.compactMap { path in path.lastIndex(of: "/").map { String(path[..<$0]) } }.filter { !$0.isEmpty }
        return Self.system + folders + setup.search.folders + Self.libraries
    }

    /// Folders of what is mapped already: where the language's own libraries are.
    private static var libraries: [String] {
        var folders: Set<String> = []
        guard let maps = fopen("/proc/self/maps", "r") else { return [] }
        defer { fclose(maps) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        while getline(&line, &room, maps) > 0, let text = line.map({ String(cString: $0) }) {
            guard text.contains(".so"), let start = text.firstIndex(of: "/"), let end = text.lastIndex(of: "/"), start < end else { continue }
            folders.insert(String(text[start..<end]))
        }
        return folders.sorted()
    }

    /// Puts it up for this thread and all that it starts; gives what was done.
    func raise() -> Int32 {
        var paths = setup.isFenced ? readable.map { UnsafePointer<CChar>(strdup($0)) } : []
        paths.append(nil)
        defer { for path in paths { free(UnsafeMutablePointer(mutating: path)) } }
        return paths.withUnsafeBufferPointer { paths in
            var fence = cisolation_fence()
            fence.readable = paths.baseAddress
            fence.data_bytes = setup.memoryBytes
            fence.cpu_seconds = setup.processorSeconds
            fence.processors = setup.processors
            return setup.isFenced ? cisolation_enclose(&fence) : cisolation_limit(&fence)
        }
    }
}
