import CDriver

/// Something that stands around every call into one device's driver. A layer sees the call, may look at what is passed and what comes back, and
/// may change either. Any thread may call, several at once.
protocol Layer: AnyObject, Sendable {
    func around(_ call: Call, _ next: NextLayer) -> baton_code
}

/// The rest of the way to the driver.
struct NextLayer: Sendable {
    fileprivate let driver: LayeredDriver
    fileprivate let index: Int

    init(_ driver: LayeredDriver, _ index: Int = 0) {
        self.driver = driver
        self.index = index
    }

    func callAsFunction(_ call: Call) -> baton_code {
        guard index < driver.layers.count else { return call.invoke(on: driver.inner) }
        return driver.layers[index].around(call, NextLayer(driver, index + 1))
    }
}

/// A layer by name, with its parameters as they were written. Outermost first in a list.
public struct LayerName: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Parameters, lifetimes, leaks: each finding one line of the log.
        case validate
        /// Every call with its times, into a file.
        case trace
        /// The calls with what was passed, into a file that `baton driver replay` runs on another driver.
        case record
        /// Seeded faults.
        case fault
        /// Deadlines. Comes from `watchdog:` in the manifest, and is always outermost.
        case watchdog
    }
    public struct Parameter: Sendable, Hashable {
        public var name: String
        public var value: String
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }
    public var kind: Kind
    public var parameters: [Parameter]

    public init(_ kind: Kind, _ parameters: [(String, String)] = []) {
        self.kind = kind
        self.parameters = parameters.map { Parameter(name: $0.0, value: $0.1) }
    }

    public subscript(_ name: String) -> String? { parameters.last { $0.name == name }?.value }

    /// Reads `BATON_LAYERS`: names separated by ',', each with its parameters after ':', as `validate,fault:call=submit:at=3:kind=fail`.
    public static func list(_ text: String) throws(DriverError) -> [LayerName] {
        var list: [LayerName] = []
        for (index, item) in text.split(separator: ",", omittingEmptySubsequences: true).enumerated() {
            let words = item.split(separator: ":", omittingEmptySubsequences: false).map { String($0).trimmed }
            guard let kind = Kind(rawValue: words[0]), kind != .watchdog else { throw unknown(words[0], at: index + 1) }
            var pairs: [(String, String)] = []
            for word in words.dropFirst() {
                let sides = word.split(separator: "=", maxSplits: 1).map(String.init)
                guard sides.count == 2 else {
                    throw wrong("layer \(index + 1), \(words[0]): \(ForeignText.quoted(word)) is no parameter; write name=value")
                }
                pairs.append((sides[0], sides[1]))
            }
            list.append(LayerName(kind, pairs))
        }
        return list
    }

    private static func unknown(_ word: String, at index: Int) -> DriverError {
        let names = Kind.allCases.filter { $0 != .watchdog }.map(\.rawValue)
        let near = names.min { distance($0, word) < distance($1, word) }
        let hint = near.flatMap { distance($0, word) <= max(2, $0.count / 2) ? "; did you mean '\($0)'?" : nil } ?? ""
        return wrong("layer \(index) is \(ForeignText.quoted(word)), which there is not\(hint) (layers: \(names.joined(separator: ", ")))")
    }

    private static func wrong(_ words: String) -> DriverError {
        DriverError(.invalidArgument, driver: "host", call: "BATON_LAYERS", detail: words)
    }

    /// Edits between two words.
    private static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a.prefix(64)), Array(b.prefix(64)))
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let least = min(row[j + 1] + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1))
                (diagonal, row[j + 1]) = (row[j + 1], least)
            }
        }
        return row[b.count]
    }
}

extension LayerName: CustomStringConvertible {
    /// "fault(call=submit, at=3)"
    public var description: String {
        guard !parameters.isEmpty else { return kind.rawValue }
        return "\(kind.rawValue)(\(parameters.map { "\($0.name)=\($0.value)" }.joined(separator: ", ")))"
    }
}

extension String {
    var trimmed: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
