import Foundation
import Testing
import Tokens

@testable import Engine
@testable import Server

/// What the page is told of requests.
struct RequestTimelineTests {
    private func ended(modelled: UInt64?) -> Generation.Ended {
        func stage(_ name: String, _ modelled: UInt64?) -> RunReport.Stage {
            .init(stage: name, device: name, driver: "d", engine: "model", tokens: 1, wallNanoseconds: 5, modelledNanoseconds: modelled)
        }
        return Generation.Ended(
            reason: .length, promptTokens: 9, cachedTokens: 4, completionTokens: 3, queued: 1_000_000, ttftPrefill: 5_000_000, ttftUser: 6_000_000, total: 9_000_000,
            handoff: nil, stages: [stage("prefill", modelled), stage("decode", modelled.map { $0 * 2 })])
    }

    @Test("a request goes from waiting through prefill and decode to done, and its times add up")
    func life() throws {
        let timeline = RequestTimeline()
        func now() throws -> PageRequest { PageRequest(try #require(timeline.latest.last)) }
        timeline.hear(.arrived(3, promptTokens: 9))
        #expect(try now().state == "waiting")
        timeline.hear(.admitted(3, .init(route: "disaggregated", routeReason: "why", cachedTokens: 4)))
        #expect(try now().state == "prefill" && now().route == "disaggregated" && now().wall.queued_ms != nil)
        timeline.hear(.firstToken(3, prefill: 2_000_000))
        #expect(try now().state == "decode" && now().wall.prefill_end_ms == 2)
        timeline.hear(.interToken(5))
        timeline.hear(.ended(3, ended(modelled: 400_000)))
        let done = try now()
        #expect(done.state == "done" && done.finish == "length" && done.completion_tokens == 3 && done.prompt_tokens == 9)
        #expect(done.wall.queued_ms == 1 && done.wall.prefill_end_ms == 5 && done.wall.first_ms == 6 && done.wall.total_ms == 9)
        let modelled = try #require(done.modelled)
        #expect(modelled.prefill_ms == 0.4 && modelled.decode_ms == 0.8 && modelled.handoff_ms == 0)
    }

    @Test("devices with wall clocks have nothing modelled; a request without all of its tokens has failed")
    func others() {
        let timeline = RequestTimeline()
        timeline.hear(.arrived(1, promptTokens: 2))
        timeline.hear(.ended(1, ended(modelled: nil)))
        timeline.hear(.arrived(2, promptTokens: 2))
        timeline.hear(.ended(2, nil))
        timeline.hear(.ended(77, nil))
        let requests = timeline.latest.map(PageRequest.init)
        #expect(requests.map(\.state) == ["done", "failed"] && requests[0].modelled == nil && requests[1].wall.total_ms != nil)
    }

    @Test("only the latest are kept")
    func bound() {
        let timeline = RequestTimeline()
        for id in 1...UInt64(RequestTimeline.limit + 10) { timeline.hear(.arrived(id, promptTokens: 1)) }
        timeline.hear(.firstToken(1, prefill: 1))
        #expect(timeline.latest.map(\.id) == Array(11...UInt64(RequestTimeline.limit + 10)))
    }

    @Test("the page's files ask for nothing from elsewhere and hold no script or style that the policy forbids")
    func files() {
        let files = [PackageResources.page_html, PackageResources.page_css, PackageResources.page_js].map { String(decoding: $0, as: UTF8.self) }
        for file in files {
            #expect(!file.isEmpty && !file.contains("https://") && !file.contains("@import"))
            #expect(!file.replacing("http://www.w3.org/2000/svg", with: "").contains("http://"))
        }
        #expect(!files[0].contains("<style") && !files[0].contains("style=") && !files[0].contains("onclick") && !files[2].contains("innerHTML") && !files[2].contains("eval("))
    }
}
