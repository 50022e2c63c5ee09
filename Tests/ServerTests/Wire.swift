import Foundation
import Glibc

/// One connection over a plain blocking socket, so that a test sends exactly what it means to. Used on a thread of its own.
final class Wire {
    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard code == 0 else {
            let reason = String(cString: strerror(errno))
            Glibc.close(descriptor)
            throw WireError(reason)
        }
    }

    struct WireError: Error {
        var words: String
        init(_ words: String) { self.words = words }
    }

    deinit { Glibc.close(descriptor) }

    /// Gives whether all of it was taken.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// What comes, until `isEnough` or the end of the connection.
    func read(until isEnough: ([UInt8]) -> Bool = { _ in false }) -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while !isEnough(all) {
            let count = recv(descriptor, &piece, piece.count, 0)
            guard count > 0 else { break }
            all += piece[..<count]
        }
        return all
    }

    /// Says that it sends no more.
    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Goes away at once, with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// A wire that goes from one thread to another, one at a time.
    struct Held: @unchecked Sendable { let wire: Wire }

    /// Runs `body`, which blocks, on a thread of its own.
    static func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }
}

/// A response as it came.
struct Reply: Sendable {
    var status = 0
    var headers: [String: String] = [:]
    var body = ""
    /// All that came, where what is no UTF-8 is replaced.
    var raw = ""

    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any] ?? [:] }
    var error: [String: Any] { json["error"] as? [String: Any] ?? [:] }
    /// The JSON of each event of a stream but the last, "[DONE]".
    var events: [[String: Any]] {
        body.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: {") }.compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.dropFirst(6).utf8))) as? [String: Any]
        }
    }

    init(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        raw = text
        guard let gap = text.range(of: "\r\n\r\n") else { return }
        let lines = text[..<gap.lowerBound].components(separatedBy: "\r\n")
        status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        body = String(text[gap.upperBound...])
        if headers["transfer-encoding"] == "chunked" { body = Self.joined(Array(body.utf8)) }
    }

    private static func joined(_ chunks: [UInt8]) -> String {
        var (rest, body) = (chunks[...], [UInt8]())
        while let line = rest.firstIndex(of: 13), let count = Int(String(decoding: rest[..<line], as: UTF8.self), radix: 16), count > 0 {
            body += rest.dropFirst(line + 2 - rest.startIndex).prefix(count)
            rest = rest.dropFirst(line + 2 - rest.startIndex + count + 2)
        }
        return String(decoding: body, as: UTF8.self)
    }
}

extension TestServer {
    static func text(_ method: String, _ path: String, _ body: String = "", _ headers: [String: String] = [:]) -> String {
        var fields = ["host": "127.0.0.1", "connection": "close", "content-length": "\(body.utf8.count)"].merging(headers) { $1 }
        if fields["content-length"] == "" { fields["content-length"] = nil }
        return "\(method) \(path) HTTP/1.1\r\n" + fields.sorted { $0.key < $1.key }.map { "\($0): \($1)\r\n" }.joined() + "\r\n" + body
    }

    /// Sends what `text` says and gives what comes until the connection ends.
    func raw(_ text: String) async throws -> Reply {
        let port = self.port
        return try await Wire.blocking {
            let wire = try Wire(port: port)
            wire.send(text)
            return Reply(wire.read())
        }
    }

    func get(_ path: String, _ headers: [String: String] = [:]) async throws -> Reply { try await raw(Self.text("GET", path, "", headers)) }

    func post(_ path: String, _ body: String, _ headers: [String: String] = [:]) async throws -> Reply {
        try await raw(Self.text("POST", path, body, headers))
    }
}
