// SPDX-License-Identifier: Apache-2.0

/// The type of a metadata value, as numbered by the GGUF format.
enum GGUFValueType: UInt32, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value, or nil for those that state their own length.
    var width: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }

    /// The fewest bytes a value can take: a string is at least its length, an array its type and count.
    var leastBytes: Int {
        switch self {
        case .string: 8
        case .array: 12
        default: width ?? 1
        }
    }

    var name: String { "\(self)" }
}

/// Where a metadata value lies in the file. Only positions are kept, so opening a file does not decode its vocabulary.
enum GGUFValue: Sendable {
    case scalar(GGUFValueType, at: Int)
    case string(Range<Int>)
    /// `bytes` begins at the first element.
    case array(of: GGUFValueType, count: Int, bytes: Range<Int>)

    /// For messages, for example `an array of string`.
    var kind: String {
        switch self {
        case .scalar(let type, _): "of type \(type.name)"
        case .string: "a string"
        case .array(let type, _, _): "an array of \(type.name)"
        }
    }
}
