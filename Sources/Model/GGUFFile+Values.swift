// SPDX-License-Identifier: Apache-2.0

/// Typed access to metadata. Each pair is one that must be there, and one that may be absent; both refuse a value of another type,
/// naming file and key.
extension GGUFFile {
    public func contains(_ key: String) -> Bool { values[key] != nil }

    public func string(_ key: String) throws(ModelError) -> String { try required(key, stringIfPresent(key)) }

    public func stringIfPresent(_ key: String) throws(ModelError) -> String? {
        guard let value = values[key] else { return nil }
        guard case .string(let range) = value else { throw wrong(key, value, wanted: "a string") }
        return try text(UnsafeRawBufferPointer(rebasing: unsafeBytes[range]), key)
    }

    /// A value of any integer type that is not negative.
    public func uint(_ key: String) throws(ModelError) -> UInt64 { try required(key, uintIfPresent(key)) }

    public func uintIfPresent(_ key: String) throws(ModelError) -> UInt64? {
        guard let value = values[key] else { return nil }
        guard case .scalar(let type, let position) = value, let integer = try integer(type, at: position, key) else {
            throw wrong(key, value, wanted: "an integer")
        }
        guard let result = UInt64(exactly: integer) else { throw wrong(key, "is \(integer)", wanted: "not negative") }
        return result
    }

    /// A float32 or float64.
    public func float(_ key: String) throws(ModelError) -> Double { try required(key, floatIfPresent(key)) }

    public func floatIfPresent(_ key: String) throws(ModelError) -> Double? {
        guard let value = values[key] else { return nil }
        switch value {
        case .scalar(.float32, let position): return Double(Float(bitPattern: try raw(at: position, key)))
        case .scalar(.float64, let position): return Double(bitPattern: try raw(at: position, key))
        default: throw wrong(key, value, wanted: "a float")
        }
    }

    public func bool(_ key: String) throws(ModelError) -> Bool { try required(key, boolIfPresent(key)) }

    public func boolIfPresent(_ key: String) throws(ModelError) -> Bool? {
        guard let value = values[key] else { return nil }
        guard case .scalar(.bool, let position) = value else { throw wrong(key, value, wanted: "a bool") }
        let byte: UInt8 = try raw(at: position, key)
        guard byte < 2 else { throw wrong(key, "is the byte \(byte)", wanted: "0 or 1") }
        return byte == 1
    }

    /// The number of elements of an array.
    public func count(_ key: String) throws(ModelError) -> Int { try required(key, countIfPresent(key)) }

    public func countIfPresent(_ key: String) throws(ModelError) -> Int? {
        guard let value = values[key] else { return nil }
        guard case .array(_, let count, _) = value else { throw wrong(key, value, wanted: "an array") }
        return count
    }

    /// An array of strings, each valid UTF-8. Decoded on every call: keep what it returns.
    public func strings(_ key: String) throws(ModelError) -> [String] {
        var result: [String] = []
        result.reserveCapacity(try count(key))
        try forEachString(key) { (index, bytes) throws(ModelError) in result.append(try text(bytes, "\(key)[\(index)]")) }
        return result
    }

    /// An array of strings as bytes, for vocabularies with tokens that are not UTF-8 by themselves.
    public func byteStrings(_ key: String) throws(ModelError) -> [[UInt8]] {
        var result: [[UInt8]] = []
        result.reserveCapacity(try count(key))
        try forEachString(key) { (_, bytes) throws(ModelError) in result.append(Array(bytes)) }
        return result
    }

    /// Calls `body` with the index and the bytes of each string of an array, without copying them; they may not be used after this
    /// object is gone.
    public func forEachString(
        _ key: String, _ body: (Int, UnsafeRawBufferPointer) throws(ModelError) -> Void
    ) throws(ModelError) {
        let (type, count, bytes) = try array(key)
        guard type == .string else { throw wrong(key, "is an array of \(type.name)", wanted: "an array of strings") }
        var cursor = GGUFCursor(unsafeBytes, file: path, at: bytes.lowerBound)
        for index in 0..<count {
            let range = try cursor.string(for: "\(key)[\(index)]")
            try body(index, UnsafeRawBufferPointer(rebasing: unsafeBytes[range]))
        }
    }

    /// An array of any integer type whose values all fit.
    public func int32s(_ key: String) throws(ModelError) -> [Int32] {
        let (type, count, bytes) = try array(key)
        guard let width = type.width else { throw wrong(key, "is an array of \(type.name)", wanted: "an array of integers") }
        var result: [Int32] = []
        result.reserveCapacity(count)
        for index in 0..<count {
            guard let integer = try integer(type, at: bytes.lowerBound + index * width, key) else {
                throw wrong(key, "is an array of \(type.name)", wanted: "an array of integers")
            }
            guard let element = Int32(exactly: integer) else {
                throw wrong(key, "has \(integer) at index \(index)", wanted: "a value within 32 bits")
            }
            result.append(element)
        }
        return result
    }

    /// An array of float32, for example token scores.
    public func floats(_ key: String) throws(ModelError) -> [Float] {
        let (type, count, bytes) = try array(key)
        guard type == .float32 else { throw wrong(key, "is an array of \(type.name)", wanted: "an array of float32") }
        var result: [Float] = []
        result.reserveCapacity(count)
        for index in 0..<count { result.append(Float(bitPattern: try raw(at: bytes.lowerBound + index * 4, key))) }
        return result
    }
}

extension GGUFFile {
    private func required<T>(_ key: String, _ value: T?) throws(ModelError) -> T {
        guard let value else {
            throw ModelError(.invalid, path, "has no key \"\(printable(key))\"", remedy: "use a complete GGUF file of a supported model")
        }
        return value
    }

    private func wrong(_ key: String, _ value: GGUFValue, wanted: String) -> ModelError {
        wrong(key, "is \(value.kind)", wanted: wanted)
    }

    private func wrong(_ key: String, _ found: String, wanted: String) -> ModelError {
        ModelError(.invalid, path, "key \"\(printable(key))\" \(found), where \(wanted) is needed", remedy: "convert the model again")
    }

    private func raw<T: FixedWidthInteger>(at position: Int, _ key: String) throws(ModelError) -> T {
        var cursor = GGUFCursor(unsafeBytes, file: path, at: position)
        return try cursor.integer(for: "key \"\(printable(key))\"")
    }

    private func text(_ bytes: UnsafeRawBufferPointer, _ key: @autoclosure () -> String) throws(ModelError) -> String {
        guard let text = bytes.withMemoryRebound(to: UInt8.self, { String(validating: $0, as: UTF8.self) }) else {
            throw wrong(key(), "is not UTF-8", wanted: "UTF-8")
        }
        return text
    }

    private func array(_ key: String) throws(ModelError) -> (type: GGUFValueType, count: Int, bytes: Range<Int>) {
        let value = try required(key, values[key])
        guard case .array(let type, let count, let bytes) = value else { throw wrong(key, value, wanted: "an array") }
        return (type, count, bytes)
    }

    /// The value widened to what holds every integer type of the format, or nil when it is not an integer.
    private func integer(_ type: GGUFValueType, at position: Int, _ key: String) throws(ModelError) -> Int128? {
        switch type {
        case .uint8: Int128(try raw(at: position, key) as UInt8)
        case .int8: Int128(try raw(at: position, key) as Int8)
        case .uint16: Int128(try raw(at: position, key) as UInt16)
        case .int16: Int128(try raw(at: position, key) as Int16)
        case .uint32: Int128(try raw(at: position, key) as UInt32)
        case .int32: Int128(try raw(at: position, key) as Int32)
        case .uint64: Int128(try raw(at: position, key) as UInt64)
        case .int64: Int128(try raw(at: position, key) as Int64)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }
}
