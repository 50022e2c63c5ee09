import CHost
import Glibc

/// The machine that Baton runs on, as the kernel describes it. Reading it opens no device.
public struct MachineFacts: Sendable, Hashable, Encodable {
    public var processor: String
    public var architecture: String
    /// The instruction sets that kernels care about, of those this processor has.
    public var instructionSets: [String]
    /// Processors this process may run on.
    public var processors: Int
    public var memoryBytes: UInt64
    public var availableBytes: UInt64
    public var kernel: String
    /// 0 where there is none.
    public var landlock: Int
    public var seccomp: Bool
    public var memfd: Bool

    public init() {
        var names = utsname()
        uname(&names)
        let cpu = Self.fields("/proc/cpuinfo")
        let memory = Self.fields("/proc/meminfo")
        processor = cpu["model name"] ?? cpu["Model"] ?? "unknown"
        architecture = Self.text(&names.machine)
        let flags = Set((cpu["flags"] ?? cpu["Features"] ?? "").split(separator: " ").map(String.init))
        let known = ["sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "asimd", "asimddp", "bf16", "i8mm", "sve"]
        instructionSets = known.filter(flags.contains)
        processors = Int(chost_processors())
        func bytes(_ key: String) -> UInt64 { (memory[key]?.split(separator: " ").first).flatMap { UInt64($0) }.map { $0 << 10 } ?? 0 }
        memoryBytes = bytes("MemTotal")
        availableBytes = bytes("MemAvailable")
        kernel = Self.text(&names.release)
        landlock = Int(chost_landlock_version())
        seccomp = chost_has_seccomp() != 0
        memfd = chost_has_memfd() != 0
    }

    private static func text<T>(_ field: inout T) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// `key : value` lines; the first of each key.
    private static func fields(_ path: String) -> [String: String] {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = chost_read_file(path, 1 << 22, &bytes)
        defer { free(bytes) }
        guard count > 0, let bytes else { return [:] }
        var fields: [String: String] = [:]
        for line in String(decoding: UnsafeBufferPointer(start: bytes, count: min(count, 1 << 22)), as: UTF8.self).split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            func trimmed(_ part: Substring) -> String { String(part.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) }
            let key = trimmed(line[..<colon])
            if fields[key] == nil { fields[key] = trimmed(line[line.index(after: colon)...]) }
        }
        return fields
    }
}
