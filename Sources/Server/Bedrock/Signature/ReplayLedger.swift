import Crypto

/// Remembers signatures that were used, for as long as their dates would let them in again. A value; its owner guards it.
///
/// SDKs date to the second and leave their attempt headers unsigned, so that two like requests of one second carry one signature.
/// Such a twin is let in when it names an attempt that was not seen, and within `twinSeconds` of the first. A copy of a request never is.
struct ReplayLedger: Sendable {
    /// Seconds after the first use in which a like request of the same second may still come.
    static let twinSeconds: Int64 = 2

    /// The most uses that are remembered.
    let capacity: Int
    private var firsts: [Digest: Int64] = [:]
    private var attempts: Set<Digest> = []
    /// What was remembered, by the second in which it may be forgotten.
    private var byEnd: [Int64: [(first: Digest?, attempt: Digest)]] = [:]
    private var swept = Int64.min

    private struct Digest: Hashable {
        var high: UInt64
        var low: UInt64

        init(_ bytes: some Sequence<UInt8>) {
            (high, low) = (0, 0)
            for (index, byte) in bytes.prefix(16).enumerated() {
                if index < 8 { high = high << 8 | UInt64(byte) } else { low = low << 8 | UInt64(byte) }
            }
        }
    }

    init(capacity: Int = 1 << 18) { self.capacity = capacity }

    /// Uses remembered now.
    var count: Int { attempts.count }

    /// Remembers the use of a signature that was found true, or refuses it.
    /// - Parameter now: seconds since 1970. Where it goes back, what was forgotten by then stays refused.
    mutating func use(_ claim: SignatureClaim, of request: WireRequest, now: Int64) throws(SignatureRefusal) {
        sweep(now)
        guard claim.date.seconds + SignatureVerifier.window >= swept else {
            throw SignatureRefusal(.invalid, "Signature expired: it is of \(claim.date.text) and the clock was past it; sign again")
        }
        let names = ["amz-sdk-invocation-id", "amz-sdk-request"].map { request.values($0).joined(separator: ",") }
        let first = Digest(claim.signature)
        let attempt = Digest(SHA256.hash(data: claim.signature + Array(names.joined(separator: "\n").utf8)))
        let firstUse = firsts[first]
        if let firstUse, attempts.contains(attempt) || now - firstUse > Self.twinSeconds {
            throw SignatureRefusal(.invalid, "the signature of \(claim.date.text) was used before; sign each request anew")
        }
        guard attempts.count < capacity else {
            throw SignatureRefusal(.throttled, "\(capacity) signed requests came in \(2 * SignatureVerifier.window) s, the most that are kept; wait")
        }
        if firstUse == nil { firsts[first] = now }
        attempts.insert(attempt)
        byEnd[claim.date.seconds + SignatureVerifier.window, default: []].append((firstUse == nil ? first : nil, attempt))
    }

    /// Forgets what its date alone would refuse.
    private mutating func sweep(_ now: Int64) {
        guard now > swept else { return }
        swept = now
        for end in byEnd.keys where end < now {
            for use in byEnd.removeValue(forKey: end) ?? [] {
                if let first = use.first { firsts[first] = nil }
                attempts.remove(use.attempt)
            }
        }
    }
}
