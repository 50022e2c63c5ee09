import Driver
@testable import Engine
import Model
import TestKit
import Testing

/// Several devices for a stage, over the real model.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu") && TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "the real model or a driver is not there"), .serialized)
struct ServingReplicaTests {
    enum Shape: String, CaseIterable, Sendable {
        case twoToOne, oneToTwo, twoToTwo
        /// Two devices, each of which does both.
        case twice
        /// One prefills for the other, and does both as well.
        case overlapping

        func pairs(_ options: [String: DriverOptions] = [:]) -> [(StageDevices.Named, StageDevices.Named)] {
            func device(_ label: String) -> StageDevices.Named {
                let driver = label.hasPrefix("trn") ? "trainium3" : label.hasPrefix("wse") ? "cs3" : "cpu"
                return Serving.device(label, driver, options[label] ?? [:])
            }
            let names: [(String, String)] = switch self {
            case .twoToOne: [("trn0", "wse"), ("trn1", "wse")]
            case .oneToTwo: [("trn", "wse0"), ("trn", "wse1")]
            case .twoToTwo: [("trn0", "wse0"), ("trn0", "wse1"), ("trn1", "wse0"), ("trn1", "wse1")]
            case .twice: [("a", "a"), ("b", "b")]
            case .overlapping: [("a", "a"), ("a", "b")]
            }
            return names.map { (device($0), device($1)) }
        }
        var mode: Route.Mode { self == .twice ? .aggregated : .disaggregated }
        var devices: [String] { Array(Set(pairs().flatMap { [$0.0.label, $0.1.label] })).sorted() }
    }

    private static let prompts = Serving.prompts(8)

    private static let trainiumToCS3 = Task { try await alone(.twoToOne, 16) }

    /// The first `count` tokens that one pair makes of each prompt alone.
    private static func expected(_ shape: Shape, _ count: Int) async throws -> [[Int32]] {
        switch shape {
        case .twoToOne, .oneToTwo, .twoToTwo: try await trainiumToCS3.value.map { Array($0.prefix(count)) }
        case .twice, .overlapping: try await alone(shape, count)
        }
    }

    private static func alone(_ shape: Shape, _ count: Int) async throws -> [[Int32]] {
        let pair = shape == .overlapping ? shape.pairs()[1] : shape.pairs()[0]
        let engine = try Serving.open(pair.0, pair.1, sequences: 1) { $0.schedule.keepsPrefixes = false }
        defer { engine.close() }
        var all: [[Int32]] = []
        for prompt in prompts { all.append(try await Serving.answer(engine, Serving.request(prompt, count, mode: shape.mode)).tokens) }
        return all
    }

    @Test("requests are spread over all devices, and each gives the tokens of a single pair", arguments: Shape.allCases)
    func spread(shape: Shape) async throws {
        let expected = try await Self.expected(shape, 8)
        let engine = try Serving.open(shape.pairs())
        defer { engine.close() }
        for round in 0..<2 {
            let answers = try await Serving.answers(engine, Self.prompts.map { Serving.request($0, 8, mode: shape.mode) })
            #expect(answers.map(\.tokens) == expected, "round \(round)")
            #expect(answers.allSatisfy { $0.began?.route == shape.mode.rawValue })
            for answer in answers {
                let decode = answer.ended?.stages.last { $0.stage == "decode" }?.device ?? "?"
                #expect(answer.began?.routeReason.hasSuffix("decode on \(decode)") == true, "\(answer.began?.routeReason ?? "") and \(decode)")
            }
        }
        let metrics = engine.metrics
        #expect(metrics.completed == 16 && metrics.failed == 0 && metrics.recomputed == 0)
        #expect(metrics.busy.map(\.device).sorted() == shape.devices && metrics.kv.map(\.device).sorted() == shape.devices)
        let decodes = Dictionary(grouping: metrics.routed.filter { $0.count > 0 }, by: \.decode).mapValues { $0.reduce(0) { $0 + $1.count } }
        #expect(decodes.values.reduce(0, +) == 16)
        if shape != .twoToOne, shape != .overlapping { #expect(decodes.count == 2 && decodes.values.allSatisfy { $0 >= 4 }, "\(decodes)") }
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("when one of two prefill devices dies, the other prefills, and the tokens are those of prefill there")
    func prefillDies() async throws {
        let expected = try await Self.expected(.twoToOne, 8)
        let engine = try Serving.open(Shape.twoToOne.pairs(["trn0": ["fail_after": "1"]]))
        defer { engine.close() }
        let answers = try await Serving.answers(
            engine,
            Self.prompts.map {
                var request = Serving.request($0, 8, mode: .disaggregated)
                request.requiresDisaggregated = true
                return request
            })
        #expect(answers.map(\.tokens) == expected)
        let metrics = engine.metrics
        #expect(metrics.recomputed > 0 && metrics.failed == 0 && metrics.completed == Self.prompts.count)
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("when one of two decode devices dies, its streams go on at the other with the tokens they would have had", arguments: [Shape.oneToTwo, .twoToTwo])
    func decodeDies(shape: Shape) async throws {
        let expected = try await Self.expected(shape, 16)
        let engine = try Serving.open(shape.pairs(["wse0": ["fail_after": "6"]]))
        defer { engine.close() }
        let answers = try await Serving.answers(engine, Self.prompts.map { Serving.request($0, 16, mode: .disaggregated) })
        #expect(answers.map(\.tokens) == expected)
        let metrics = engine.metrics
        #expect(metrics.preempted > 0 && metrics.failed == 0 && metrics.completed == Self.prompts.count)
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("placements of two models are refused, and so is none")
    func refused() throws {
        #expect(throws: EngineError.self) { try ServingEngine(opening: [Placement](), tokenizer: TestModel.tokenizer(#require(TestModel.open().file))) }
    }
}
