import Glibc
import LoadGenerator

/// `baton serve` as a process of its own, on a free port of loopback; it goes when this does what it is for.
final class ServerChild {
    let url: String
    private var process: pid_t = 0
    private let manifest: String
    /// Seconds until it is to be ready.
    private static let patience = 600

    init(manifest: String) throws {
        guard access(manifest, R_OK) == 0 else { throw Failure(code: 2, "\(manifest): cannot be read; give a manifest, or a server's address as in http://127.0.0.1:8080") }
        self.manifest = manifest
        let port = try Self.freePort()
        url = "http://127.0.0.1:\(port)"
        let arguments = ["baton", "serve", manifest, "--host", "127.0.0.1", "--port", "\(port)", "--quiet"]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // What the server says belongs beside the figures, not among them.
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        let pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        let failure = posix_spawn(&process, "/proc/self/exe", &actions, nil, pointers, environ)
        guard failure == 0 else { throw Failure(code: 1, "the server cannot be started: \(String(cString: strerror(failure)))") }
    }

    /// A port that nobody listens on now.
    private static func freePort() throws -> UInt16 {
        let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(handle) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let done = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(handle, $0, length) == 0 && getsockname(handle, $0, &length) == 0 }
        }
        guard handle >= 0, done else { throw Failure(code: 1, "no port of loopback is free; close some connections and try again") }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Waits until the server takes requests; an error when it ends first.
    func awaitReady() async throws {
        let client = LoadClient(try LoadTarget(url: url), connections: 1)
        var isReady = false
        for _ in 0..<Self.patience * 10 where !isReady && !hasEnded {
            isReady = await client.isOK("/readyz")
            if !isReady { try await Task.sleep(for: .milliseconds(100)) }
        }
        await client.close()
        guard isReady else { throw Failure(code: 1, "baton serve \(manifest) did not become ready; its words above say why") }
    }

    /// Whether it has; it is not collected.
    private var hasEnded: Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(process), &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_signo == SIGCHLD
    }

    /// Asks it to end and waits.
    func stop() {
        guard process > 0 else { return }
        kill(process, SIGTERM)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        process = 0
    }

    deinit { stop() }
}
