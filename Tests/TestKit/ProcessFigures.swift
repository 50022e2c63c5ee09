import Foundation

/// What another process holds, as /proc tells it; 0 when it is gone.
public struct ProcessFigures: Sendable {
    private let folder: String
    public init(_ process: Int32) { folder = "/proc/\(process)" }

    /// Files and sockets that it has open.
    public var descriptors: Int { (try? FileManager.default.contentsOfDirectory(atPath: folder + "/fd").count) ?? 0 }

    /// KiB of memory that it has.
    public var residentKilobytes: Int {
        let text = (try? String(contentsOfFile: folder + "/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
    }

    /// The same once it stands still: a server makes the pages of its KV in the background as it starts.
    public func settledKilobytes() async throws -> Int {
        var last = residentKilobytes
        for _ in 0..<120 {
            try await Task.sleep(for: .seconds(2))
            let now = residentKilobytes
            if now < last + 1_024 { return now }
            last = now
        }
        return last
    }
}
