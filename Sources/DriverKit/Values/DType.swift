public import CDriver

/// The type of an element, or of a block of elements.
public enum DType: UInt32, Sendable, Hashable, CaseIterable {
    case f32 = 1, f16 = 2, bf16 = 3, i32 = 4, u32 = 5, i8 = 6, mxfp8 = 7, q4_0 = 16, q4_1 = 17, q8_0 = 18

    public var raw: baton_dtype { rawValue }

    /// Elements in one block; 1 for plain types.
    public var blockElements: Int {
        switch self {
        case .q4_0, .q4_1, .q8_0, .mxfp8: 32
        default: 1
        }
    }

    /// Bytes of one block (for plain types: of one element). mxfp8 is 32 bytes and a scale byte (OCP Microscaling Formats 1.0).
    public var blockBytes: Int {
        switch self {
        case .f32, .i32, .u32: 4
        case .f16, .bf16: 2
        case .i8: 1
        case .mxfp8: 33
        case .q4_0: 18
        case .q4_1: 20
        case .q8_0: 34
        }
    }

    /// Bytes of `elements` elements; nil when they are not whole blocks or the count does not fit.
    public func bytes(_ elements: Int) -> Int? {
        guard elements >= 0, elements % blockElements == 0 else { return nil }
        let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }

    init(_ raw: baton_dtype, _ what: @autoclosure () -> String) throws(DriverFailure) {
        guard let known = DType(rawValue: raw) else {
            throw .invalid("\(what()) has the unknown dtype \(raw); use one of \(DType.allCases.map { "\($0)" }.joined(separator: ", "))")
        }
        self = known
    }
}

/// A set of dtypes, as the masks of baton_device_info.
public struct DTypes: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ dtypes: [DType]) { rawValue = dtypes.reduce(0) { $0 | (1 << UInt64($1.rawValue)) } }
    public func contains(_ dtype: DType) -> Bool { rawValue & (1 << UInt64(dtype.rawValue)) != 0 }
}
