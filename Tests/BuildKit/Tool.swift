import Glibc

/// A program of the system's, run to build or look at something for a test.
public struct Tool: Sendable {
    public let path: String

    /// The C compiler, or nil on a machine without one.
    public static let cc = Tool(named: "cc")
    /// The C++ compiler, or nil.
    public static let cxx = Tool(named: "c++")
    /// The lister of symbols, or nil.
    public static let nm = Tool(named: "nm")

    /// The first executable of that name on PATH.
    public init?(named name: String) {
        let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        for folder in folders.split(separator: ":") where access("\(folder)/\(name)", X_OK) == 0 {
            path = "\(folder)/\(name)"
            return
        }
        return nil
    }

    /// A program at a path, as a test built it.
    public init(at path: String) { self.path = path }

    /// What a run gave: the exit status (128 + the signal if one ended it) and stdout and stderr together.
    public struct Output: Sendable {
        public let status: Int32
        public let text: String
        public var lines: [String] { text.split(separator: "\n").map(String.init) }
    }

    /// Runs the program and waits for it.
    public func run(_ arguments: [String]) throws(ToolError) -> Output {
        let folder = try TemporaryFolder()
        let file = folder.file("output")
        let status = try spawn(arguments, writingTo: file)
        return Output(status: status, text: try Self.read(file))
    }

    /// Runs the program; a status other than 0 is an error with what it printed.
    @discardableResult
    public func check(_ arguments: [String]) throws(ToolError) -> Output {
        let output = try run(arguments)
        guard output.status == 0 else {
            throw ToolError("'\(path) \(arguments.joined(separator: " "))' ended with \(output.status):\n\(output.text)")
        }
        return output
    }

    private func spawn(_ arguments: [String], writingTo file: String) throws(ToolError) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, path, &actions, nil, &argv, environ)
        guard failure == 0 else { throw ToolError("cannot start \(path): \(String(cString: strerror(failure)))") }
        var status: Int32 = 0
        while waitpid(child, &status, 0) == -1 {
            guard errno == EINTR else { throw ToolError("cannot wait for \(path)") }
        }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
    }

    /// The text of a file.
    public static func read(_ path: String) throws(ToolError) -> String {
        guard let file = fopen(path, "r") else { throw ToolError("cannot read \(path)") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            guard count > 0 else { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Why a tool could not do its work.
public struct ToolError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
