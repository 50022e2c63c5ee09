import Glibc

/// One check in a process of its own.
final class Child {
    let rule: Rule
    private let process: pid_t
    private let pipe: Int32
    private let started = now()
    private let deadline: UInt64
    private var text: [UInt8] = []
    private var status: Int32 = 0
    private var ranOut = false
    private(set) var milliseconds = 0

    /// Starts `program`; its result is read from what it writes to `descriptor`. Its standard streams lead nowhere.
    init(_ rule: Rule, _ program: String, _ arguments: [String], _ timeout: Int, _ descriptor: Int32) throws(ConformanceError) {
        self.rule = rule
        deadline = started + UInt64(timeout) * 1_000_000_000
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0, fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0, fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0 else { throw ConformanceError("no pipe for a child process: \(String(cString: strerror(errno)))") }
        pipe = ends[0]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        for stream in [Int32(1), 2] { posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0) }
        let ownEnd = fcntl(ends[1], F_DUPFD_CLOEXEC, 16)
        close(ends[1])
        posix_spawn_file_actions_adddup2(&actions, ownEnd, descriptor)
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var child: pid_t = 0
        setenv("SWIFT_BACKTRACE", "enable=no", 0)
        let failure = posix_spawn(&child, program, &actions, nil, &argv, environ)
        close(ownEnd)
        guard failure == 0 else {
            close(ends[0])
            throw ConformanceError("\(program) cannot be started: \(String(cString: strerror(failure)))")
        }
        process = child
    }

    /// Waits until at least one of `running` has ended and takes out those that have.
    static func ended(among running: inout [Child]) -> [Child] {
        guard !running.isEmpty else { return [] }
        var polls = running.map { pollfd(fd: $0.pipe, events: Int16(POLLIN), revents: 0) }
        let next = running.map(\.deadline).min() ?? 0
        let time = now()
        _ = poll(&polls, nfds_t(polls.count), next > time ? Int32(clamping: (next - time) / 1_000_000 + 1) : 0)
        var done: [Child] = []
        for (index, child) in running.enumerated() where child.take(polls[index].revents != 0) { done.append(child) }
        running.removeAll { child in done.contains { $0 === child } }
        return done
    }

    /// Reads what is there; true once the child has ended, or was ended.
    private func take(_ ready: Bool) -> Bool {
        if ready {
            var piece = [UInt8](repeating: 0, count: 4_096)
            let count = read(pipe, &piece, piece.count)
            if count > 0 {
                text += piece[..<count]
                return false
            }
        } else {
            guard now() >= deadline else { return false }
            ranOut = true
            kill(process, SIGKILL)
        }
        finish()
        return true
    }

    private func finish() {
        close(pipe)
        while waitpid(process, &status, 0) == -1, errno == EINTR {}
        milliseconds = Int((now() - started) / 1_000_000)
    }

    /// Whether the check passed, and what it said.
    func result() -> (passed: Bool, words: String) {
        let said = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
        if ranOut { return (false, "the check hung and was ended after \(milliseconds / 1_000) s") }
        let signal = status & 0x7F
        if signal != 0 { return (false, "the driver ended the process by signal \(signal), \(String(cString: strsignal(signal)))") }
        if said.hasPrefix("pass") { return (true, String(said.dropFirst(5))) }
        if said.hasPrefix("fail") { return (false, String(said.dropFirst(5))) }
        return (false, "the driver ended the process with exit status \(status >> 8 & 0xFF)")
    }
}
