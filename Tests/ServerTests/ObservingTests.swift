@testable import Engine
import Foundation
import Testing

@testable import Server

/// What a server says of itself: metrics, traces, its log.
@Suite(.timeLimit(.minutes(10)))
struct ObservingTests {
    private static let ask = #"{"model": "tiny", "prompt": "hi", "max_tokens": 2}"#

    @Test("metrics are Prometheus' text, every sample under its type, and count what was asked")
    func metrics() async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            _ = try await server.post("/v1/completions", Self.ask)
            try await TestServer.until { server.lines.now.contains { $0.contains("/v1/completions") } }
            let text = try await server.get("/metrics").body
            var types: [String: String] = [:]
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                if line.hasPrefix("# TYPE") { types[String(words[2])] = String(words[3]) }
                guard !line.hasPrefix("#") else { continue }
                let name = line.prefix { $0 != "{" && $0 != " " }
                let family = ["_bucket", "_sum", "_count"].reduce(String(name)) { $0.hasSuffix($1) && types[$0] == nil ? String($0.dropLast($1.count)) : $0 }
                #expect(types[family] != nil, "\(line)")
                #expect(Double(words.last ?? "") != nil, "\(line)")
            }
            let named = [
                "baton_queue_requests", "baton_ttft_user_seconds", "baton_ttft_prefill_seconds", "baton_inter_token_seconds", "baton_prefix_hit_tokens_total",
                "baton_handoff_bytes_total", "baton_handoff_exposed_seconds_total", "baton_handoff_hidden_seconds_total", "baton_handoffs_aborted_total",
                "baton_route_decisions_total", "baton_http_requests_total", "baton_http_request_seconds",
            ]
            for name in named { #expect(types[name] != nil, "\(name)") }
            #expect(text.contains(#"baton_http_requests_total{path="/v1/completions",status="200"} 1"#))
        }
    }

    @Test("an engine's metrics are all said: pools, devices, histograms that add up")
    func servingMetrics() {
        var metrics = ServingMetrics()
        metrics.kv = [.init(stage: "prefill+decode", device: "wse0+wse1", blockTokens: 16, total: 10, used: 3, cached: 2, quarantined: 1)]
        metrics.busy = [.init(device: "a\"b", wallNanoseconds: 500_000_000, modelledNanoseconds: 7_000_000, batches: 2)]
        metrics.routed = [.init(route: .disaggregated, prefill: "trn", decode: "wse0+wse1", count: 5)]
        metrics.uptime = 1_000_000_000
        metrics.phases = [.handoff: 2]
        metrics.cancelledIn = [.prefill: 4]
        for nanoseconds: UInt64 in [500_000, 3_000_000, 120_000_000_000] { metrics.interToken.add(nanoseconds: nanoseconds) }
        var text = PrometheusText()
        metrics.write(to: &text)
        for line in [
            #"baton_kv_blocks{stage="prefill+decode",device="wse0+wse1",state="used"} 3"#,
            #"baton_route_decisions_total{route="disaggregated",prefill="trn",decode="wse0+wse1"} 5"#, #"baton_device_busy_share{device="a\"b"} 0.5"#,
            #"baton_device_modelled_busy_seconds_total{device="a\"b"} 0.007"#, #"baton_inter_token_seconds_bucket{le="0.001"} 1"#,
            #"baton_requests{phase="handoff"} 2"#, #"baton_requests{phase="decode"} 0"#, #"baton_cancellations_total{phase="prefill"} 4"#,
            #"baton_inter_token_seconds_bucket{le="60"} 2"#, #"baton_inter_token_seconds_bucket{le="+Inf"} 3"#, "baton_inter_token_seconds_count 3",
        ] { #expect(text.text.contains(line + "\n"), "\(line)") }
    }

    @Test("a trace goes on under its number, with a span of this server's")
    func traces() async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
            let reply = try await server.post("/v1/completions", Self.ask, ["traceparent": "00-\(trace)-\(parent)-01"])
            let parts = (reply.headers["traceparent"] ?? "").split(separator: "-").map(String.init)
            #expect(parts.count == 4 && parts[1] == trace && parts[2] != parent && parts[3] == "01")
            try await TestServer.until { server.lines.now.contains { $0.contains(trace) } }
            let line = try #require(server.lines.now.first { $0.contains(trace) })
            let fields = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(fields["parent_id"] as? String == parent)
            #expect(fields["span_id"] as? String == parts[2])
            #expect(fields["status"] as? Int == 200)
            #expect(fields["completion_tokens"] as? Int == 2)
            #expect(fields["route"] as? String == "aggregated")
        }
    }

    @Test(
        "a trace that is malformed is not followed",
        arguments: [
            "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ])
    func malformed(header: String) {
        let context = TraceContext(following: header)
        #expect(context.parent == nil)
        #expect(!header.contains(context.trace))
        #expect(TraceContext(following: context.header).trace == context.trace)
    }
}
