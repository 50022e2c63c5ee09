/// Where a request stands in a distributed trace, as W3C's `traceparent` says it: `00-TRACE-PARENT-FLAGS` in lower-case hexadecimal.
struct TraceContext: Sendable, Hashable {
    /// 16 bytes; the caller's where it gave one.
    let trace: String
    /// The caller's span of 8 bytes; nil where the trace begins here.
    let parent: String?
    /// This server's span.
    let span: String
    let isSampled: Bool

    /// Follows `header`; one that is missing or malformed begins a trace, as the standard asks.
    init(following header: String?) {
        span = Self.chance(8)
        guard let header, let (trace, parent, flags) = Self.parse(header) else {
            (trace, parent, isSampled) = (Self.chance(16), nil, false)
            return
        }
        self.trace = trace
        self.parent = parent
        isSampled = flags & 1 == 1
    }

    /// For the response and for whoever is asked next.
    var header: String { "00-\(trace)-\(span)-\(isSampled ? "01" : "00")" }

    private static func parse(_ header: String) -> (trace: String, parent: String, flags: UInt8)? {
        let parts = header.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, header.utf8.count <= 256, isHex(parts[0], 2), parts[0] != "ff", parts[0] != "00" || parts.count == 4 else { return nil }
        guard isHex(parts[1], 32), isHex(parts[2], 16), isHex(parts[3], 2), let flags = UInt8(parts[3], radix: 16) else { return nil }
        guard parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" }) else { return nil }
        return (parts[1], parts[2], flags)
    }

    private static func isHex(_ text: String, _ count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private static func chance(_ count: Int) -> String { KeyHash.hex((0..<count).map { _ in UInt8.random(in: 0...255) }) }
}
