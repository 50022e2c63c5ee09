import Driver
@testable import Engine
import Model
import TestKit
import Testing

/// Handoffs that end before their copies have: nothing that a device may still touch is used again, and nothing is kept for longer.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the real model or the cpu driver is not there"), .serialized)
struct LostHandoffTests {
    private static func site() throws -> Site {
        try Site(
            "cpu", .bf16, model: TestModel.open(), catalog: TestDrivers.catalog(),
            devices: [StageDevices.Named(label: "a", driver: "cpu", options: ["numerics": "bf16"])])
    }

    /// A handoff that gave up on copies of 16 tokens, which wait for layer event `after`.
    private static func lost(_ site: Site, after event: UInt64) throws -> Handoff {
        let here = try KVState(reserving: 16, from: site.here.allocator), there = try KVState(reserving: 16, from: site.there.allocator)
        var settings = HandoffSettings(deadline: 20_000_000)
        (settings.patience, settings.settling) = (0, 0)
        let link = try #require(HandoffProof.ways(site, site).first?.links.first)
        let handoff = try Handoff(
            links: [link], from: site.here, to: site.there, prefillBlocks: here.blocks, prefillGeneration: here.generation,
            decodeBlocks: there.blocks, generation: there.generation, tokens: there.capacity, settings: settings, trace: nil, tamper: nil)
        #expect(throws: EngineError.self) { try handoff.drainPresent(part: 0, base: event, tokens: 0..<16) }
        handoff.close()
        return handoff
    }

    private static func free(_ site: Site) -> [Int] { [site.here.allocator, site.there.allocator].map { $0.blockCount - $0.freeCount } }

    @Test("blocks that a late copy may touch stay out of use until it has ended, and no longer")
    func late() throws {
        let site = try Self.site()
        let event = site.here.parts[0].layerValue + 1
        let handoff = try Self.lost(site, after: event)
        LostHandoffs.sweep()
        #expect(handoff.isLost)
        #expect(Self.free(site).allSatisfy { $0 > 0 }, "blocks went back that a copy may write to")
        try site.here.parts[0].layerEvents.signal(event)
        while handoff.isLost { LostHandoffs.sweep() }
        #expect(Self.free(site) == [0, 0])
    }

    @Test("when a stage is closed, what waits for what never comes is ended, and memory, timelines and devices go with it")
    func never() throws {
        weak var device: Device?
        try {
            let site = try Self.site()
            device = site.here.parts[0].device
            let handoff = try Self.lost(site, after: site.here.parts[0].layerValue + 1)
            #expect(handoff.isLost)
            LostHandoffs.sweep(closing: [site.there])
            #expect(!handoff.isLost)
            #expect(Self.free(site) == [0, 0])
        }()
        // Another test may be looking at it.
        for _ in 0..<1_000 where device != nil { LostHandoffs.sweep() }
        #expect(device == nil)
    }

    @Test("copies that fail as unavailable on a device that works have ended, and the device goes on")
    func failed() throws {
        let site = try Self.site()
        let copies = try Handoff.Copies(on: site.here.parts[0].device)
        copies.value = 1
        try copies.timeline.fail(DriverError(.unavailable, driver: "cpu", call: "kv_export", detail: "the link was reset"))
        #expect(copies.hasEnded(within: 0))
        var kv = try KVState(reserving: 16, from: site.here.allocator)
        _ = try Prefill(stage: site.here, trace: nil).run([1, 2, 3], into: &kv, tokenStep: 1)
        #expect(kv.tokens == 3)
    }

    @Test("blocks given back while a copy may touch them, or after, are free once and only then")
    func allocator() throws {
        let allocator = BlockAllocator(blockCount: 8, blockTokens: 4)
        for isBefore in [true, false] {
            let held = try allocator.reserve(tokens: 12)
            allocator.quarantine(generation: held.generation)
            if isBefore { allocator.release(held.blocks, generation: held.generation) }
            #expect(allocator.freeCount == 5)
            allocator.recover(generation: held.generation)
            #expect(allocator.freeCount == (isBefore ? 8 : 5))
            allocator.release(held.blocks, generation: held.generation)
            allocator.recover(generation: held.generation)
            #expect(allocator.freeCount == 8)
        }
    }
}
