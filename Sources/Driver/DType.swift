import CDriver

/// The type of an element, or of a block of elements, as the contract numbers them.
public struct DType: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let f32 = DType(rawValue: 1)
    public static let f16 = DType(rawValue: 2)
    public static let bf16 = DType(rawValue: 3)
    public static let i32 = DType(rawValue: 4)
    public static let u32 = DType(rawValue: 5)
    public static let i8 = DType(rawValue: 6)
    public static let mxfp8 = DType(rawValue: 7)
    public static let q4_0 = DType(rawValue: 16)
    public static let q4_1 = DType(rawValue: 17)
    public static let q8_0 = DType(rawValue: 18)

    private static let table: [UInt32: (name: String, elements: Int, bytes: Int)] = [
        1: ("f32", 1, 4), 2: ("f16", 1, 2), 3: ("bf16", 1, 2), 4: ("i32", 1, 4), 5: ("u32", 1, 4), 6: ("i8", 1, 1),
        7: ("mxfp8", 32, 33), 16: ("q4_0", 32, 18), 17: ("q4_1", 32, 20), 18: ("q8_0", 32, 34),
    ]

    /// Elements in one block; 1 for plain types.
    public var blockElements: Int { Self.table[rawValue]?.elements ?? 1 }
    /// Bytes of one block.
    public var blockBytes: Int { Self.table[rawValue]?.bytes ?? 0 }
    /// Bytes of `count` elements, a whole number of blocks.
    public func bytes(_ count: Int) -> Int { count / blockElements * blockBytes }
    /// The type named `name` ("f16"), as manifests and JSON write it.
    public init?(name: String) {
        guard let found = Self.table.first(where: { $0.value.name == name }) else { return nil }
        self.init(rawValue: found.key)
    }
}

extension DType: CustomStringConvertible {
    public var description: String { Self.table[rawValue]?.name ?? "dtype\(rawValue)" }
}

/// A set of dtypes, as a device states what it takes.
public struct DTypeSet: Hashable, Sendable {
    public var mask: UInt64
    public init(mask: UInt64) { self.mask = mask }
    public func contains(_ dtype: DType) -> Bool { dtype.rawValue < 64 && mask & (1 << UInt64(dtype.rawValue)) != 0 }
    public var members: [DType] { (0..<64).map { DType(rawValue: $0) }.filter(contains) }
}
