import Testing
@testable import Server

/// A signature is used once; what SDKs do within one second is no replay.
struct ReplayTests {
    private func use(_ ledger: inout ReplayLedger, _ signed: Signed, now: Int64) -> SignatureRefusal.Kind? {
        do throws(SignatureRefusal) { try ledger.use(SignatureClaim(signed.request), of: signed.request, now: now) } catch { return error.kind }
        return nil
    }

    private func attempt(_ signed: Signed, _ id: String, _ count: Int = 1) -> Signed {
        signed.changed {
            $0.set("amz-sdk-invocation-id", id)
            $0.set("amz-sdk-request", "attempt=\(count)")
        }
    }

    @Test("the same request is let in once, for as long as its date would let it in")
    func once() {
        var ledger = ReplayLedger()
        let signed = Signed.plain()
        #expect(use(&ledger, signed, now: signed.now) == nil)
        for later in [0, 1, 2, 299, 300] as [Int64] { #expect(use(&ledger, signed, now: signed.now + later) == .invalid) }
        #expect(use(&ledger, Signed.plain(body: "{ }"), now: signed.now) == nil)
    }

    @Test("a twin of the same second is let in while it names an attempt that was not seen, and a copy of it is not")
    func twins() {
        var ledger = ReplayLedger()
        let signed = Signed.plain(), now = signed.now
        #expect(use(&ledger, attempt(signed, "a"), now: now) == nil)
        #expect(use(&ledger, attempt(signed, "b"), now: now) == nil)
        #expect(use(&ledger, attempt(signed, "a", 2), now: now + 2) == nil)
        for (id, count) in [("a", 1), ("b", 1), ("a", 2)] { #expect(use(&ledger, attempt(signed, id, count), now: now + 2) == .invalid) }
        #expect(use(&ledger, attempt(signed, "c"), now: now + 3) == .invalid)
    }

    @Test("what is too old to be let in is forgotten, and stays refused where the clock goes back")
    func forgetting() {
        var ledger = ReplayLedger()
        let signed = Signed.plain()
        #expect(use(&ledger, signed, now: signed.now) == nil)
        #expect(ledger.count == 1)
        let later = Signed.plain(date: "20260301T102000Z")
        #expect(use(&ledger, later, now: later.now) == nil)
        #expect(ledger.count == 1)
        #expect(use(&ledger, signed, now: signed.now) == .invalid)
        #expect(use(&ledger, later, now: later.now) == .invalid)
    }

    @Test("no more uses are remembered than there is room for; beyond it requests wait")
    func room() {
        var ledger = ReplayLedger(capacity: 3)
        let signed = (0..<4).map { Signed.plain(body: "\($0)") }
        for one in signed.prefix(3) { #expect(use(&ledger, one, now: one.now) == nil) }
        #expect(use(&ledger, signed[3], now: signed[3].now) == .throttled)
        #expect(ledger.count == 3)
        let later = Signed.plain(date: "20260301T103000Z")
        #expect(use(&ledger, later, now: later.now) == nil)
    }
}
