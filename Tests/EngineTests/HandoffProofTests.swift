import Driver
@testable import Engine
import Model
import TestKit
import Testing

/// Decode after a handoff is decode where prefill ran: every ordered pair of drivers, every conversion their layouts ask for, by KV and by logits.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the real model or the cpu driver is not there"), .serialized)
struct HandoffProofTests {
    private static let proof = HandoffProof(
        prompt: Array((Golden.prompts.first { $0.name == "code" }?.ids ?? []).prefix(41)), forced: [198, 28])

    /// Half a unit in the last place, relative, of what a site or a wire rounds to; `native` rounds activations to int8 in blocks.
    private static func roundoff(_ name: String) -> Double {
        ["f16": 0x1p-11, "bf16": 0x1p-8, "native": 0x1p-6][name] ?? 0
    }

    private static func sites() throws -> [Site] {
        let model = try TestModel.open()
        let catalog = TestDrivers.catalog()
        func site(_ name: String, _ numerics: Site.Numerics, _ driver: String, _ options: [DriverOptions]) throws -> Site {
            let devices = options.enumerated().map { StageDevices.Named(label: "\(name)\($0.offset)", driver: driver, options: $0.element) }
            return try Site(name, numerics, model: model, catalog: catalog, devices: devices)
        }
        var sites = [
            try site("cpu f32", .f32, "cpu", [["numerics": "f32"]]),
            try site("cpu f32 with blocks of 32", .f32, "cpu", [["numerics": "f32", "block_tokens": "32"]]),
            try site("cpu native", .native, "cpu", [["numerics": "native"]]),
            try site("cpu bf16", .bf16, "cpu", [["numerics": "bf16"]]),
            try site("cpu f16", .f16, "cpu", [["numerics": "f16"]]),
        ]
        if TestDrivers.has("trainium3") { sites.append(try site("trainium3", .bf16, "trainium3", [[:]])) }
        if TestDrivers.has("cs3") {
            sites.append(try site("cs3", .f16, "cs3", [[:]]))
            sites.append(try site("two cs3", .f16, "cs3", [[:], [:]]))
        }
        return sites
    }

    @Test("every ordered pair of drivers and every conversion: KV arrives as it was but for the cast, and decode gives the same logits")
    func everyPair() throws {
        let sites = try Self.sites()
        var met: Set<String> = []
        for a in sites {
            let alone = try Self.proof.alone(a)
            for b in sites {
                for way in try HandoffProof.ways(a, b) {
                    let plan = way.links[0].plan
                    let dtypes = [plan.from.dtype, plan.to.dtype, b.kept]
                    let name = "\(a.name) -> \(b.name), \(way.name)"
                    let outcome = try Self.proof.across(a, b, way.links)
                    #expect(outcome.state == .adopted, "\(name)")
                    Self.expectKV(outcome.kv, of: alone.kv, through: dtypes, name)
                    Self.expectLogits(outcome, alone, a, b, dtypes, name)
                    met.insert("\(plan.conversion)")
                }
            }
        }
        let kinds = ["identity", "cast", "regroup", "regroup+cast"]
            + (sites.count == 8 ? ["permute", "permute+cast", "permute+regroup", "permute+regroup+cast"] : [])
        #expect(met.isSuperset(of: kinds), "\(met)")
    }

    /// Bit for bit what the casts on the way make of it.
    private static func expectKV(_ found: [Float], of sent: [Float], through dtypes: [DType], _ name: String) {
        let wrong = HandoffProof.firstDifference(found, HandoffProof.rounded(sent, dtypes))
        #expect(wrong == nil, "\(name): KV differs at element \(wrong ?? 0)")
    }

    /// Equal where both sites compute and keep KV alike and nothing on the way was rounded; else within the rounding of what differs,
    /// which thirty layers add up to a few times over: over seven prompts and three continuations of each 3.5 times in the median
    /// and 10.8 at most, as much for f16 as for bf16.
    private static func expectLogits(
        _ found: HandoffProof.Outcome, _ alone: HandoffProof.Outcome, _ a: Site, _ b: Site, _ dtypes: [DType], _ name: String
    ) {
        let distance = HandoffProof.distance(found.logits, alone.logits)
        let isLossless = dtypes.allSatisfy { $0 == a.kept || $0 == .f32 }
        if a.numerics == b.numerics, isLossless {
            #expect(found.logits == alone.logits, "\(name): logits differ by \(distance)")
        } else {
            let names = dtypes.map { "\($0)" } + (a.numerics == b.numerics && a.numerics != .native ? [] : [a.numerics.rawValue, b.numerics.rawValue])
            let limit = 16 * (names.map(roundoff).max() ?? 0)
            #expect(distance <= limit, "\(name): logits differ by \(distance), the limit is \(limit)")
        }
    }
}
