import Foundation
import Glibc
import TestKit
import Testing
@testable import Server

/// A storm of requests, good and hostile, against the real server with keys.
@Suite(.serialized, .enabled(if: BatonServer.isPossible, "\(BatonServer.absence)"))
struct StormTests {
    /// BATON_STORM says how many requests.
    static let count = getenv("BATON_STORM").flatMap { Int(String(cString: $0)) } ?? 1_500

    @Test("of a storm of requests the good are answered and none of the hostile gets in; the server lives on, and no descriptor, memory or KV is kept")
    func storm() async throws {
        let server = try await BatonServer(keys: BatonServer.keys, "--quiet")
        let good: [String: Any] = ["client": "bedrock", "method": "list_foundation_models", "key": BatonServer.key]
        #expect(try await server.calls([good])[0].error == nil)
        let before = server.descriptors
        // What a server grows to is seen in a first part of the storm.
        _ = try await Boto.script("storm.py", [server.endpoint, "30", "\(Self.count / 5)"] + BatonServer.key)
        let memory = try await server.figures.settledKilobytes()
        let output = try await Boto.script("storm.py", [server.endpoint, "31", "\(Self.count * 4 / 5)"] + BatonServer.key)
        let result = try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any])
        let statuses = try #require(result["statuses"] as? [String: Int])
        #expect((result["succeeded"] as? [Any])?.isEmpty == true, "\(result["succeeded"] ?? "")")
        #expect(result["good"] as? Int ?? 0 >= Self.count / 10)
        #expect((result["unanswered"] as? [Any])?.isEmpty == true, "\(result["unanswered"] ?? "")")
        #expect(statuses["500"] == nil, "\(statuses)")
        for (status, part) in [("403", 5), ("400", 20), ("413", 50)] { #expect((statuses[status] ?? 0) > Self.count / part, "\(status): \(statuses)") }
        #expect(server.isRunning)
        #expect(try await server.calls([good])[0].error == nil)
        for _ in 0..<200 where server.descriptors > before { try await Task.sleep(for: .milliseconds(100)) }
        #expect(server.descriptors <= before)
        #expect(server.residentKilobytes < memory + 32 << 10, "\(memory) KiB grew to \(server.residentKilobytes)")
        let metrics = result["metrics"] as? String ?? ""
        let used = metrics.split(separator: "\n").filter { $0.hasPrefix("baton_kv_blocks") && $0.contains("state=\"used\"") }
        #expect(!used.isEmpty && used.allSatisfy { $0.hasSuffix(" 0") }, "\(used)")
    }
}
