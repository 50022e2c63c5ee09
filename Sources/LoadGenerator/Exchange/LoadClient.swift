import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// Sends requests over HTTP/1.1 and notes when what comes back. Any thread; `close` at the end, once.
public final class LoadClient: Sendable {
    public let target: LoadTarget
    private let http: HTTPClient
    private let connections: Int

    /// - Parameter connections: that may be open at once; no request waits for another below it.
    public init(_ target: LoadTarget, connections: Int) {
        self.target = target
        self.connections = max(1, connections)
        var settings = HTTPClient.Configuration()
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        settings.timeout.connect = .seconds(10)
        settings.connectionPool.retryConnectionEstablishment = false
        // Who closes a kept connection is the server alone: how long this machine is busy must not show.
        settings.connectionPool.idleTimeout = .hours(1)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    }

    public func close() async { try? await http.shutdown() }

    /// Asks, and reads the answer to its end. Failures are in the record.
    func ask(_ request: LoadRequest, intended: UInt64, clock: LoadClock) async -> StreamRecord {
        var asked = HTTPClientRequest(url: target.path)
        asked.method = .POST
        asked.headers = headers
        asked.body = .bytes(target.body(request))
        var record = StreamRecord(intended: intended, sent: clock.now)
        var hasHead = false
        do {
            let response = try await answer(to: asked)
            hasHead = true
            guard response.status == .ok else { throw await Self.refusal(response) }
            var events = EventStream()
            for try await buffer in response.body {
                let now = clock.now
                for event in try events.take(buffer.readableBytesView) { try record.take(event, at: now) }
            }
            record.end(at: clock.now)
        } catch {
            let kind = Self.kind(error)
            record.fail(hasHead && kind == .unreachable ? .cut : kind, at: clock.now)
        }
        return record
    }

    /// The head of the answer. A kept connection that the server has closed meanwhile is no failure of the server's: the request goes out once more, as often as
    /// there can be such connections, for a server may have closed them all.
    private func answer(to request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let deadline = NIODeadline.now() + .nanoseconds(Int64(target.timeout))
        for _ in 0..<connections {
            do { return try await http.execute(request, deadline: deadline) } catch {
                guard Self.kind(error) == .cut else { throw error }
            }
        }
        do { return try await http.execute(request, deadline: deadline) } catch { throw Self.kind(error) == .cut ? LoadFailure.unreachable : error }
    }

    /// The models that the server lists.
    public func models() async throws -> [String] {
        struct List: Decodable {
            struct Model: Decodable { var id: String }
            var data: [Model]
        }
        var asked = HTTPClientRequest(url: target.base + "/v1/models")
        asked.headers = headers
        do {
            let response = try await answer(to: asked)
            guard response.status == .ok else { throw await Self.refusal(response) }
            let body = try await response.body.collect(upTo: 1 << 20)
            guard let list = try? JSONDecoder().decode(List.self, from: Data(body.readableBytesView)) else { throw LoadFailure.malformed }
            return list.data.map(\.id)
        } catch {
            throw LoadError("\(target.base)/v1/models: \(Self.kind(error)); see that a server with OpenAI's API listens there, and that --key is right")
        }
    }

    /// Whether a GET of `path` is answered with 200.
    public func isOK(_ path: String) async -> Bool {
        guard let response = try? await http.execute(HTTPClientRequest(url: target.base + path), timeout: .seconds(5)) else { return false }
        _ = try? await response.body.collect(upTo: 1 << 16)
        return response.status == .ok
    }

    private var headers: HTTPHeaders {
        var headers: HTTPHeaders = ["content-type": "application/json", "accept": "text/event-stream, application/json"]
        if let key = target.key { headers.add(name: "authorization", value: "Bearer \(key)") }
        return headers
    }

    private static func refusal(_ response: HTTPClientResponse) async -> LoadFailure {
        struct Refused: Decodable { var error: CompletionChunk.Problem? }
        let body = try? await response.body.collect(upTo: 1 << 16)
        let refused = body.flatMap { try? JSONDecoder().decode(Refused.self, from: Data($0.readableBytesView)) }
        return .status(Int(response.status.code), refused?.error?.code ?? "")
    }

    private static func kind(_ error: any Error) -> LoadFailure {
        if let failure = error as? LoadFailure { return failure }
        switch error as? HTTPClientError {
        case .deadlineExceeded?, .readTimeout?, .connectTimeout?, .getConnectionFromPoolTimeout?: return .timeout
        case .remoteConnectionClosed?: return .cut
        case nil: return error is ChannelError || error is IOError || error is HTTPParserError ? .cut : .unreachable
        default: return .cut
        }
    }
}

/// Nanoseconds since it was made. The same for all that hold it.
public struct LoadClock: Sendable {
    private let start = ContinuousClock.now

    public init() {}

    public var now: UInt64 {
        let passed = start.duration(to: .now).components
        return UInt64(passed.seconds) * 1_000_000_000 + UInt64(passed.attoseconds / 1_000_000_000)
    }

    func sleep(until time: UInt64) async throws {
        try await ContinuousClock().sleep(until: start.advanced(by: .nanoseconds(Int64(clamping: time))), tolerance: .zero)
    }
}
