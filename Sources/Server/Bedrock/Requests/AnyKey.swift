/// A key of a JSON object, whatever it is.
struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ text: String) { (stringValue, intValue) = (text, nil) }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { (stringValue, self.intValue) = ("\(intValue)", intValue) }
}

extension KeyedDecodingContainer {
    /// What is wrong with the value of `key`, in words that follow its path.
    func wrong(_ key: Key, _ words: String) -> DecodingError {
        DecodingError.dataCorrupted(.init(codingPath: codingPath + [key], debugDescription: words))
    }

    /// A number in `range`, or nil where there is none.
    func number(_ key: Key, in range: ClosedRange<Double>) throws -> Double? {
        guard let value = try fitting(Double.self, key, "is no number in range; give \(range.lowerBound) to \(range.upperBound)") else { return nil }
        guard range.contains(value) else { throw wrong(key, "is \(value); give \(range.lowerBound) to \(range.upperBound)") }
        return value
    }

    /// A whole number of at least `least`, or nil where there is none.
    func count(_ key: Key, from least: Int) throws -> Int? {
        guard let value = try whole(key) else { return nil }
        guard value >= least, value <= Int(Int32.max) else { throw wrong(key, "is \(value); give \(least) to \(Int32.max)") }
        return value
    }

    /// A number without a fraction that 64 bits hold, or nil where there is none.
    func whole(_ key: Key) throws -> Int? {
        try fitting(Int.self, key, "is no whole number in range; give one")
    }

    /// A number, where what the type does not hold is an error without a path.
    private func fitting<Number: Decodable>(_ type: Number.Type, _ key: Key, _ words: String) throws -> Number? {
        do { return try decodeIfPresent(type, forKey: key) } catch let error as DecodingError {
            guard case .dataCorrupted = error else { throw error }
            throw wrong(key, words)
        } catch { throw wrong(key, words) }
    }

    /// One of the words of `Word`, or nil where there is none.
    func word<Word: RawRepresentable & CaseIterable>(_ type: Word.Type, _ key: Key) throws -> Word? where Word.RawValue == String {
        guard let text = try decodeIfPresent(String.self, forKey: key) else { return nil }
        guard let word = Word(rawValue: text) else { throw wrong(key, "is \(text.prefix(40)); give \(Word.words)") }
        return word
    }

    /// Strings that end a completion, few and short enough to be watched for.
    func stops(_ key: Key) throws -> [String] {
        let all = try decodeIfPresent([String].self, forKey: key) ?? []
        guard all.count <= 16 else { throw wrong(key, "has \(all.count) strings; give at most 16") }
        guard all.allSatisfy({ (1...1024).contains($0.utf8.count) }) else { throw wrong(key, "has a string that is empty or too long; give 1 to 1024 bytes each") }
        return all
    }
}

extension RawRepresentable where Self: CaseIterable, RawValue == String {
    /// All of them, for people.
    static var words: String { allCases.map(\.rawValue).joined(separator: " or ") }
}
