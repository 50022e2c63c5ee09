import CDriver

/// Options of a device as its manifest wrote them, in order. The driver checks them.
public struct DriverOptions: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    public var pairs: [Pair]
    public struct Pair: Sendable, Hashable {
        public var key: String
        public var value: String
    }

    public init(_ pairs: [(String, String)] = []) { self.pairs = pairs.map { Pair(key: $0.0, value: $0.1) } }
    public init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }

    init(_ raw: UnsafePointer<baton_options>?) {
        guard let raw else { self.init(); return }
        let items = UnsafeBufferPointer(start: raw.pointee.items, count: Int(raw.pointee.items == nil ? 0 : raw.pointee.count))
        self.init(items.map { (String($0.key), String($0.value)) })
    }

    /// Lends the options in the contract's form for the time of `body`.
    func withContract<R>(_ body: (UnsafePointer<baton_options>) -> R) -> R {
        let text = pairs.flatMap { Array($0.key.utf8) + Array($0.value.utf8) }
        return text.withUnsafeBytes { bytes in
            var items: [baton_option] = []
            var offset = 0
            func take(_ length: Int) -> baton_string {
                defer { offset += length }
                let start = bytes.baseAddress.map { ($0 + offset).assumingMemoryBound(to: CChar.self) }
                return baton_string(data: start, length: UInt64(length))
            }
            for pair in pairs {
                items.append(baton_option(key: take(pair.key.utf8.count), value: take(pair.value.utf8.count)))
            }
            return items.withUnsafeBufferPointer { list in
                var options = baton_options.sized()
                options.count = UInt32(list.count)
                options.items = list.baseAddress
                return body(&options)
            }
        }
    }
}

/// One option a driver accepts, as it documents it.
public struct DriverOptionInfo: Sendable, Hashable, Encodable {
    public enum Kind: String, Sendable, Encodable { case integer, number, boolean, choice, text }
    public var name: String
    public var kind: Kind
    public var defaultValue: String
    /// The words allowed, for `choice`.
    public var choices: [String]
    public var unit: String
    public var help: String
    /// Inclusive bounds, for `integer` and `number`.
    public var minimum: Double
    public var maximum: Double

    init(_ raw: baton_option_info) {
        name = String(raw.name)
        kind = [1: .integer, 2: .number, 3: .boolean, 4: .choice][raw.kind] ?? .text
        defaultValue = String(raw.default_value)
        choices = String(raw.choices).split(separator: "|").map(String.init)
        unit = String(raw.unit)
        help = String(raw.help)
        minimum = raw.minimum
        maximum = raw.maximum
    }
}
