// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Runs another program to its end. No shell reads the arguments.
enum ChildProcess {
    enum Outcome: Equatable {
        case exited(Int32)
        case signalled(Int32)
        /// There is no such program, or it may not be run.
        case notStarted
    }

    /// Runs `arguments[0]`, found through PATH, with nothing to read and its output in the file `log`. Calls `tick` now and
    /// then, at most 100 ms apart.
    static func run(_ arguments: [String], adding environment: [String: String], log: String, tick: () -> Void) -> Outcome {
        guard let process = spawn(arguments, adding: environment, log: log) else { return .notStarted }
        var status: Int32 = 0
        var pause: UInt32 = 2_000
        while true {
            let ended = waitpid(process, &status, WNOHANG)
            if ended == process { break }
            if ended < 0, errno != EINTR { return .notStarted }
            tick()
            usleep(pause)
            pause = min(pause * 2, 100_000)
        }
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
    }

    private static func spawn(_ arguments: [String], adding environment: [String: String], log: String) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var process: pid_t = 0
        let failure = withCStrings(arguments) { argv in
            guard let program = argv.first ?? nil else { return ENOENT }
            return withCStrings(merged(environment)) { posix_spawnp(&process, program, &actions, nil, argv, $0) }
        }
        return failure == 0 ? process : nil
    }

    private static func merged(_ added: [String: String]) -> [String] {
        var lines = added.map { "\($0.key)=\($0.value)" }.sorted()
        var next = environ
        while let line = next.pointee {
            let text = String(cString: line)
            if !added.keys.contains(where: { text.hasPrefix($0 + "=") }) { lines.append(text) }
            next += 1
        }
        return lines
    }

    /// Null-terminated copies of `strings`, ended by a null pointer as exec wants them.
    private static func withCStrings(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Int32) -> Int32 {
        let pointers = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}
