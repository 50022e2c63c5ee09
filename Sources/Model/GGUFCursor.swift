// SPDX-License-Identifier: Apache-2.0

/// Walks untrusted bytes from front to back. Every read is checked against the end before it happens and every length against the
/// bytes that remain, so nothing here overflows, and nothing is allocated from a length alone.
struct GGUFCursor {
    let bytes: UnsafeRawBufferPointer
    /// The name of the file, for errors.
    let file: String
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer, file: String, at position: Int = 0) {
        self.bytes = bytes
        self.file = file
        self.position = position
    }

    var remaining: Int { bytes.count - position }

    /// The next `count` bytes, for `purpose`.
    mutating func take(_ count: UInt64, for purpose: @autoclosure () -> String) throws(ModelError) -> Range<Int> {
        guard count <= UInt64(remaining) else {
            throw ModelError(
                .truncated, file, "\(purpose()) needs \(count) bytes at offset \(position), but the file ends at \(bytes.count)",
                remedy: "it is cut short or damaged, download it again")
        }
        let start = position
        position += Int(count)
        return start..<position
    }

    /// The next little-endian integer.
    mutating func integer<T: FixedWidthInteger>(
        _ type: T.Type = T.self, for purpose: @autoclosure () -> String
    ) throws(ModelError) -> T {
        let range = try take(UInt64(MemoryLayout<T>.size), for: purpose())
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: T.self))
    }

    /// A 64-bit count of things that each take at least `least` bytes, refused when the rest of the file could not hold them.
    mutating func count(least: Int, for purpose: @autoclosure () -> String) throws(ModelError) -> Int {
        let count = try integer(UInt64.self, for: purpose())
        guard count <= UInt64(remaining / least) else {
            throw ModelError(
                .corrupt, file, "\(purpose()) is \(count), which the \(remaining) bytes after offset \(position) cannot hold",
                remedy: "it is cut short or damaged, download it again")
        }
        return Int(count)
    }

    /// The range of a length-prefixed string's bytes.
    mutating func string(for purpose: @autoclosure () -> String) throws(ModelError) -> Range<Int> {
        let length = try integer(UInt64.self, for: "the length of \(purpose())")
        return try take(length, for: purpose())
    }

    /// A length-prefixed name of 1 to `limit` bytes of UTF-8.
    mutating func name(limit: Int, for purpose: @autoclosure () -> String) throws(ModelError) -> String {
        let range = try string(for: purpose())
        guard (1...limit).contains(range.count) else {
            throw ModelError(
                .corrupt, file, "\(purpose()) at offset \(range.lowerBound) has \(range.count) bytes, where 1 to \(limit) are allowed",
                remedy: "it is damaged, download it again")
        }
        guard let name = String(validating: bytes[range], as: UTF8.self) else {
            throw ModelError(
                .corrupt, file, "\(purpose()) at offset \(range.lowerBound) is not UTF-8", remedy: "it is damaged, download it again")
        }
        return name
    }

    mutating func valueType(for purpose: @autoclosure () -> String) throws(ModelError) -> GGUFValueType {
        let number = try integer(UInt32.self, for: "the type of \(purpose())")
        guard let type = GGUFValueType(rawValue: number) else {
            throw ModelError(
                .corrupt, file, "\(purpose()) has value type \(number), where GGUF knows 0 to 12",
                remedy: "it is damaged, download it again")
        }
        return type
    }

    /// Steps over one value and says where it lies.
    mutating func value(of type: GGUFValueType, for purpose: @autoclosure () -> String, depth: Int = 0) throws(ModelError) -> GGUFValue {
        switch type {
        case .string: return .string(try string(for: purpose()))
        case .array: return try array(for: purpose(), depth: depth)
        default: return .scalar(type, at: try take(UInt64(type.leastBytes), for: purpose()).lowerBound)
        }
    }

    private mutating func array(for purpose: @autoclosure () -> String, depth: Int) throws(ModelError) -> GGUFValue {
        guard depth < 4 else {
            throw ModelError(.unsupported, file, "\(purpose()) nests arrays more than 4 deep", remedy: "convert the model again")
        }
        let type = try valueType(for: "an element of \(purpose())")
        let count = try count(least: type.leastBytes, for: "the element count of \(purpose())")
        let start = position
        if let width = type.width {
            _ = try take(UInt64(count) * UInt64(width), for: purpose())
        } else {
            for _ in 0..<count { _ = try value(of: type, for: purpose(), depth: depth + 1) }
        }
        return .array(of: type, count: count, bytes: start..<position)
    }
}
