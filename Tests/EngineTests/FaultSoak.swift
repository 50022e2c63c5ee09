@testable import Driver
@testable import Engine
import Foundation
import TestKit
import Testing

/// Many requests over devices that fail in seeded ways. Each has to end in the text of a run without faults or in a typed error, and nothing may be left behind.
struct FaultSoak {
    /// What became of the requests.
    struct Tally: CustomStringConvertible {
        var requests = 0
        var same = 0
        var recomputed = 0
        /// By kind of error.
        var typed: [String: Int] = [:]
        /// Requests with other text, or an error that is not typed.
        var wrong: [String] = []
        var heldBlocks = 0
        var descriptors = 0
        var children = 0
        var sharedSegments = 0
        /// Children that ended under a driver and were started again.
        var restarts = 0
        var rounds: [String] = []

        var description: String {
            let errors = typed.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            return "\(requests) requests: \(same) with the text of the fault-free run (\(recomputed) after prefill was done again), typed errors: \(errors.isEmpty ? "none" : errors); wrong: \(wrong.count); drivers' processes started again: \(restarts); left behind: \(heldBlocks) KV blocks, \(descriptors) descriptors, \(children) children, \(sharedSegments) shared segments"
        }
    }

    /// One kind of fault, on one of the two devices.
    struct Fault: Sendable {
        var onDecode: Bool
        var parameters: [(String, String)]
        var needsWatchdog = false
        /// The driver is in a process of its own, which may end as often as this. Nil: it is in this process.
        var crashBudget: Int?

        /// A crash of an isolated driver.
        static func crash(onDecode: Bool, _ call: String, _ signal: String, rate: String, times: String, budget: Int = 8) -> Fault {
            Fault(
                onDecode: onDecode, parameters: [("kind", "die"), ("call", call), ("signal", signal), ("rate", rate), ("times", times)], crashBudget: budget)
        }

        /// The device of the stage that has the fault, and the other.
        func device(_ label: String, _ driver: String, _ layers: [LayerName], isFaulty: Bool) -> StageDevices.Named {
            var device = Serving.device(label, driver, [:], isFaulty ? layers : [])
            guard isFaulty, let crashBudget else { return device }
            var isolation = TestDrivers.isolation()
            (isolation.restart.budget, isolation.restart.firstPause, isolation.heartbeat) = (crashBudget, 1_000_000, 5)
            device.isolation = isolation
            return device
        }
    }

    static let faults: [Fault] = [
        Fault(onDecode: false, parameters: [("kind", "fail"), ("call", "submit"), ("rate", "0.2"), ("times", "6")]),
        Fault(onDecode: true, parameters: [("kind", "fail"), ("call", "submit"), ("rate", "0.05"), ("times", "4"), ("code", "INTERNAL")]),
        Fault(onDecode: true, parameters: [("kind", "fail"), ("call", "kv_import"), ("rate", "0.02"), ("times", "5")]),
        Fault(onDecode: false, parameters: [("kind", "fail"), ("call", "kv_export"), ("rate", "0.02"), ("times", "5")]),
        Fault(onDecode: true, parameters: [("kind", "corrupt"), ("call", "read"), ("rate", "0.05"), ("times", "3")]),
        Fault(onDecode: true, parameters: [("kind", "corrupt"), ("call", "kv_import"), ("rate", "0.01"), ("times", "4")]),
        Fault(onDecode: false, parameters: [("kind", "corrupt"), ("call", "kv_export"), ("rate", "0.01"), ("times", "4")]),
        Fault(onDecode: true, parameters: [("kind", "duplicate"), ("call", "kv_import"), ("rate", "0.02"), ("times", "5")]),
        Fault(onDecode: true, parameters: [("kind", "duplicate"), ("call", "submit"), ("rate", "0.1"), ("times", "3")]),
        Fault(onDecode: true, parameters: [("kind", "delay"), ("rate", "0.01"), ("for", "20ms")]),
        Fault(onDecode: true, parameters: [("kind", "drop"), ("call", "read"), ("rate", "0.05"), ("times", "3")]),
        Fault(onDecode: true, parameters: [("kind", "drop"), ("call", "kv_import"), ("rate", "0.02"), ("times", "1")]),
        Fault(onDecode: false, parameters: [("kind", "drop"), ("call", "submit"), ("rate", "0.2"), ("times", "1")], needsWatchdog: true),
        Fault(onDecode: true, parameters: [("kind", "hang"), ("call", "submit"), ("rate", "0.05"), ("times", "1")], needsWatchdog: true),
        Fault(onDecode: false, parameters: [("kind", "hang"), ("call", "read"), ("rate", "0.2"), ("times", "1")], needsWatchdog: true),
        Fault(onDecode: true, parameters: [("kind", "fail"), ("call", "wait"), ("rate", "0.03"), ("times", "3"), ("code", "ABORTED")]),
        .crash(onDecode: true, "submit", "segv", rate: "0.1", times: "2"),
        .crash(onDecode: true, "kv_import", "abort", rate: "0.01", times: "2"),
        .crash(onDecode: true, "read", "kill", rate: "0.1", times: "2"),
        .crash(onDecode: true, "submit", "stop", rate: "0.1", times: "1"),
        .crash(onDecode: true, "submit", "abort", rate: "0.2", times: "3", budget: 0),
        .crash(onDecode: false, "submit", "segv", rate: "0.3", times: "2"),
        .crash(onDecode: false, "kv_export", "abort", rate: "0.02", times: "2"),
        Fault(onDecode: false, parameters: [("kind", "die"), ("call", "submit"), ("layer", "14"), ("rate", "0.3"), ("times", "2")], crashBudget: 8),
    ]

    var seed: UInt64
    var rounds: Range<Int>
    var requestsOfRound: Int
    private let prompts = Serving.prompts(12)
    private static let newTokens = 6

    /// What each prompt gives without faults, by either route.
    private func expected(_ mode: Route.Mode) async throws -> [[Int32]] {
        let engine = try Serving.open(Serving.device("trn", "trainium3"), Serving.device("wse", "cs3")) { $0.schedule.keepsPrefixes = false }
        defer { engine.close() }
        return try await Serving.answers(engine, prompts.map { Serving.request($0, Self.newTokens, mode: mode) }).map(\.tokens)
    }

    func run() async throws -> Tally {
        let good = [try await expected(.disaggregated), try await expected(.aggregated)]
        var tally = Tally()
        let before = (Self.descriptors, Self.sharedSegments)
        for round in rounds {
            let held = Self.descriptors
            try await self.round(round, good, &tally)
            tally.rounds[tally.rounds.count - 1] += ", \(Self.descriptors - held) descriptors more"
        }
        // Who hears of a child's end closes its descriptors a moment after all others have heard.
        for _ in 0..<2_000 where Self.descriptors > before.0 { try await Task.sleep(for: .milliseconds(1)) }
        tally.descriptors = max(0, Self.descriptors - before.0)
        tally.sharedSegments = max(0, Self.sharedSegments - before.1)
        tally.children = Self.children
        return tally
    }

    private func round(_ number: Int, _ good: [[[Int32]]], _ tally: inout Tally) async throws {
        var dice = Dice(seed &+ UInt64(number) &* 7919)
        let fault = Self.faults[number % Self.faults.count]
        var layers = [LayerName(.fault, fault.parameters + [("seed", "\(dice.next() >> 1)")])]
        if fault.needsWatchdog { layers.insert(LayerName(.watchdog, [("batch", "4s"), ("submit", "4s"), ("call", "4s")]), at: 0) }
        let engine = try Serving.open(
            fault.device("trn", "trainium3", layers, isFaulty: !fault.onDecode), fault.device("wse", "cs3", layers, isFaulty: fault.onDecode)
        ) { $0.handoff = HandoffSettings(deadline: 1_500_000_000) }
        let picked = (0..<requestsOfRound).map { _ in dice.below(prompts.count) }
        let tasks = picked.map { index in Task { [prompts] in try await Serving.answer(engine, Serving.request(prompts[index], Self.newTokens, mode: .disaggregated)) } }
        var counts = (same: 0, typed: 0)
        for (task, index) in zip(tasks, picked) {
            tally.requests += 1
            switch await task.result {
            case .success(let answer) where good.contains(where: { $0[index] == answer.tokens }):
                tally.same += 1
                counts.same += 1
                if answer.ended?.handoff?.recomputed == true { tally.recomputed += 1 }
            case .success(let answer): tally.wrong.append("round \(number), prompt \(index): \(answer.tokens)")
            case .failure(let error as EngineError):
                tally.typed[error.kind.rawValue, default: 0] += 1
                counts.typed += 1
            case .failure(let error): tally.wrong.append("round \(number), prompt \(index): \(error)")
            }
        }
        await engine.drain()
        tally.heldBlocks += Serving.heldBlocks(engine)
        let faulty = fault.onDecode ? engine.placements[0].decode : engine.placements[0].prefill
        tally.restarts += max(0, (faulty.parts.first?.library.isolated?.starts ?? 1) - 1)
        engine.close()
        let words = fault.parameters.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
        tally.rounds.append("round \(number), \(fault.onDecode ? "decode" : "prefill") \(words): \(counts.same) same, \(counts.typed) typed")
    }

    private static func entries(_ folder: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }
    private static var descriptors: Int { entries("/proc/self/fd").count }
    /// What the descriptors lead to.
    static var held: String {
        entries("/proc/self/fd").compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }.sorted().joined(separator: " ")
    }
    private static var sharedSegments: Int {
        let links = entries("/proc/self/fd").compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
        return links.count { $0.hasPrefix("/memfd:") || $0.hasPrefix("/dev/shm") }
    }
    private static var children: Int {
        entries("/proc/self/task").reduce(0) { count, thread in
            let text = (try? String(contentsOfFile: "/proc/self/task/\(thread)/children", encoding: .utf8)) ?? ""
            return count + text.split(separator: " ").count
        }
    }
}

/// `make soak` runs it at length; here it is short.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu") && TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "the real model or a driver is not there"), .serialized)
struct FaultSoakTests {
    private static func number(_ name: String, _ standard: Int) -> Int { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? standard }

    @Test("under seeded faults every request ends in the text of a run without them or in a typed error, and nothing is left behind")
    func soak() async throws {
        let requests = Self.number("BATON_SOAK_REQUESTS", FaultSoak.faults.count * 4)
        let rounds = min(requests, Self.number("BATON_SOAK_ROUNDS", FaultSoak.faults.count))
        // One round of a longer run by itself.
        let first = Self.number("BATON_SOAK_FIRST", 0)
        let soak = FaultSoak(seed: UInt64(Self.number("BATON_SOAK_SEED", 1)), rounds: first..<first + rounds, requestsOfRound: (requests + rounds - 1) / rounds)
        let tally = try await soak.run()
        let isAlone = ProcessInfo.processInfo.environment["BATON_SOAK_REQUESTS"] != nil
        if isAlone {
            for round in tally.rounds { print(round) }
            print("soak: \(tally)")
            if tally.descriptors > 0 { print(FaultSoak.held) }
        }
        #expect(tally.wrong.isEmpty, "\(tally.wrong.prefix(5))")
        #expect(tally.same + tally.typed.values.reduce(0, +) == tally.requests)
        #expect(tally.same > 0 && !tally.typed.isEmpty, "\(tally)")
        #expect(tally.restarts > 0, "\(tally)")
        #expect(tally.heldBlocks == 0, "\(tally)")
        // Descriptors, children and segments are the whole process's: other suites that run beside this one have theirs.
        if isAlone { #expect(tally.descriptors == 0 && tally.children == 0 && tally.sharedSegments == 0, "\(tally)") }
    }
}
