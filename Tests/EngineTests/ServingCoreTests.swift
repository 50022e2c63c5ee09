@testable import Engine
import Testing
import Tokens

/// The core between a stage's thread and readers that leave, without a device.
struct ServingCoreTests {
    private static func tokenizer() throws -> Tokenizer {
        let letters = (33...126).map { [UInt8($0)] }
        let tokens = [Array("<|im_start|>".utf8), Array("<|im_end|>".utf8)] + letters + ["Ġ", "Ċ"].map { Array($0.utf8) }
        let types = [3, 3] + [Int32](repeating: 1, count: tokens.count - 2)
        return try Tokenizer(Vocabulary(tokens: tokens, types: types, merges: [], pre: "gpt-2", model: "gpt2", bos: 0, eos: 1, addsBOS: false))
    }

    /// A stage that runs everything at once and always likes token 2 best.
    private static func stage(_ core: ServingCore, _ width: Int) -> WorkThread {
        let thread = WorkThread()
        let isStarted = thread.start {
            while let command = core.next(0) {
                guard case .run(let plan) = command else { continue }
                let outcomes = zip(plan.items, core.sessions(of: plan)).map { item, session in
                    Schedule.Outcome(item.id, item.wantsToken ? token(core, session, width) : .computed)
                }
                core.handle(.batchDone(stage: 0, outcomes))
            }
        }
        #expect(isStarted)
        return thread
    }

    private static func token(_ core: ServingCore, _ session: Session?, _ width: Int) -> Schedule.Outcome.Kind {
        var row = [Float](repeating: 0, count: width)
        row[2] = 1
        let kind = row.withUnsafeMutableBufferPointer { row in try? session?.sample(row, canBeTakenBack: false) }
        guard let session, let kind else { return .computed }
        core.deliver(session)
        return kind
    }

    /// Asks, and reads until the stream ends. Gives whether what it heard first, if anything, is how it began.
    private static func reader(_ core: ServingCore, _ tokenizer: Tokenizer) -> Task<Bool, Never> {
        let (stream, out) = AsyncThrowingStream.makeStream(of: Generation.self, throwing: (any Error).self)
        let reader = Task {
            var heard = 0
            var isOrdered = true
            do {
                for try await event in stream {
                    if heard == 0 { if case .began = event {} else { isOrdered = false } }
                    heard += 1
                }
            } catch { isOrdered = false }
            return isOrdered
        }
        let request = GenerationRequest(Request(prompt: [3, 4, 5], maxTokens: 40, sampling: .greedy, obeysEnd: false))
        core.submit { id in
            out.onTermination = { if case .cancelled = $0 { core.cancel(id) } }
            let session = Session(id, request, maxTokens: 40, tokenizer: tokenizer, filters: ForeignHooks(), stream: out, now: WallClock.now)
            return (session, Schedule.Arrival(id: id, prompt: request.request.prompt, maxTokens: 40))
        }
        return reader
    }

    @Test("readers that are cancelled by two threads, while they are admitted and given tokens by a third, never stop the core")
    func cancelled() async throws {
        let tokenizer = try Self.tokenizer()
        let core = ServingCore(ScheduleTests.schedule(.together, blocks: 60, sequences: 2), observe: nil)
        let stage = Self.stage(core, tokenizer.count)
        for round in 0..<300 {
            let readers = (0..<6).map { _ in Self.reader(core, tokenizer) }
            let cancellers = [0, 1].map { half in
                let thread = WorkThread()
                let isStarted = thread.start { for (index, reader) in readers.enumerated() where index % 2 == half { reader.cancel() } }
                #expect(isStarted)
                return thread
            }
            for thread in cancellers { thread.join() }
            for reader in readers { #expect(await reader.value, "round \(round): something came before how it began") }
            await core.idle()
        }
        let metrics = core.metrics
        #expect(metrics.cancelled > 0 && metrics.cancelled + metrics.completed >= 300 * 6)
        #expect(metrics.running == 0 && metrics.queued == 0 && metrics.kv.allSatisfy { $0.used == 0 })
        core.stop()
        stage.join()
    }

    @Test("a reader hears how its request began before its first token, and how it ended last")
    func ordered() async throws {
        let tokenizer = try Self.tokenizer()
        let core = ServingCore(ScheduleTests.schedule(.together, blocks: 60, sequences: 2), observe: nil)
        let stage = Self.stage(core, tokenizer.count)
        let readers = (0..<40).map { _ in Self.reader(core, tokenizer) }
        // The queue of the schedule holds them all; two run at once.
        for reader in readers { #expect(await reader.value) }
        #expect(core.metrics.completed == 40 && core.metrics.completionTokens == 1600)
        core.stop()
        stage.join()
    }
}
