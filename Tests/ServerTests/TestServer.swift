import Engine
import Foundation
import Logging
import Synchronization
import Tokens

@testable import Server

/// A server on a free port of loopback, for as long as a test.
final class TestServer: Sendable {
    let port: Int
    let lines: Lines
    private let server: Server
    private let running: Task<Void, any Error>

    /// What it logs.
    final class Lines: Sendable {
        private let all = Mutex<[String]>([])
        var now: [String] { all.withLock { $0 } }
        func add(_ line: String) { all.withLock { $0.append(line) } }
    }

    /// Runs `body` against a server over `engine`, and stops it.
    static func with<R>(
        _ engine: any Generating, model: ServedModel? = nil, keys: KeyRing? = nil, _ change: (inout ServerSettings) -> Void = { _ in },
        _ body: (TestServer) async throws -> R
    ) async throws -> R {
        var settings = ServerSettings()
        settings.port = 0
        change(&settings)
        let server = try await TestServer(model ?? Self.model(engine), settings, keys)
        do {
            let result = try await body(server)
            try await server.end()
            return result
        } catch {
            server.running.cancel()
            throw error
        }
    }

    private init(_ model: ServedModel, _ settings: ServerSettings, _ keys: KeyRing?) async throws {
        let lines = Lines()
        var logger = Logger(label: "test") { JSONLog(label: $0) { lines.add($0) } }
        logger.logLevel = .info
        let server = try Server(model: model, settings: settings, keys: keys, logger: logger)
        let (ports, out) = AsyncStream.makeStream(of: Int.self)
        running = Task {
            defer { out.finish() }
            try await server.run { out.yield($0) }
        }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else {
            try await running.value
            throw CancellationError()
        }
        (self.port, self.lines, self.server) = (port, lines, server)
    }

    func stop() async { await server.stop() }

    /// Stops it and waits until it has.
    func end() async throws {
        await server.stop()
        try await running.value
    }

    /// Waits, without an end of its own, until `isSo`.
    static func until(_ isSo: () -> Bool) async throws {
        while !isSo() { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// A model of one token for each printable ASCII character.
    static func model(_ engine: any Generating, context: Int = 4096) -> ServedModel {
        let letters = (33...126).map { [UInt8($0)] }
        let tokens = [Array("<|im_start|>".utf8), Array("<|im_end|>".utf8)] + letters + ["Ġ", "Ċ"].map { Array($0.utf8) }
        let types = [3, 3] + [Int32](repeating: 1, count: tokens.count - 2)
        let source = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' + message['content'] + '<|im_end|>' }}{% endfor %}"
        guard
            let vocabulary = try? Vocabulary(
                tokens: tokens, types: types.map { Int32($0) }, merges: [], pre: "gpt-2", model: "gpt2", bos: 0, eos: 1, addsBOS: false),
            let tokenizer = try? Tokenizer(vocabulary), let template = try? ChatTemplate(source: source)
        else { fatalError("the test's own vocabulary is wrong") }
        return ServedModel(id: "tiny", created: 1, tokenizer: tokenizer, template: template, context: context, engine: engine)
    }
}
