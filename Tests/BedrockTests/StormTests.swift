import Foundation
import Testing
@testable import Server

/// A storm of hostile requests against the real server with keys.
@Suite(.serialized, .enabled(if: BatonServer.isPossible, "\(BatonServer.absence)"))
struct StormTests {
    @Test("of 1,500 hostile requests none gets in, the server lives on, and no descriptor is left open")
    func storm() async throws {
        let server = try await BatonServer(keys: BatonServer.keys, "--quiet")
        let good: [String: Any] = ["client": "bedrock", "method": "list_foundation_models", "key": BatonServer.key]
        #expect(try await server.calls([good])[0].error == nil)
        let before = server.descriptors
        let output = try await Boto.script("storm.py", [server.endpoint, "31", "1500"] + BatonServer.key)
        let result = try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any])
        let statuses = try #require(result["statuses"] as? [String: Int])
        #expect((result["succeeded"] as? [Any])?.isEmpty == true, "\(result["succeeded"] ?? "")")
        #expect(statuses["500"] == nil, "\(statuses)")
        #expect((statuses["403"] ?? 0) > 500, "\(statuses)")
        #expect(server.isRunning)
        #expect(try await server.calls([good])[0].error == nil)
        for _ in 0..<200 where server.descriptors > before { try await Task.sleep(for: .milliseconds(100)) }
        #expect(server.descriptors <= before)
    }
}
