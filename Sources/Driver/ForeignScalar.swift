/// A Swift type that is one of the numbers of C that a signature can name, or bool.
public protocol ForeignScalar: BitwiseCopyable, Sendable {
    /// The type a signature calls it.
    static var foreignType: ForeignType { get }
}

extension Bool: ForeignScalar { public static var foreignType: ForeignType { .bool } }
extension Int8: ForeignScalar { public static var foreignType: ForeignType { .i8 } }
extension UInt8: ForeignScalar { public static var foreignType: ForeignType { .u8 } }
extension Int16: ForeignScalar { public static var foreignType: ForeignType { .i16 } }
extension UInt16: ForeignScalar { public static var foreignType: ForeignType { .u16 } }
extension Int32: ForeignScalar { public static var foreignType: ForeignType { .i32 } }
extension UInt32: ForeignScalar { public static var foreignType: ForeignType { .u32 } }
extension Int64: ForeignScalar { public static var foreignType: ForeignType { .i64 } }
extension UInt64: ForeignScalar { public static var foreignType: ForeignType { .u64 } }
extension Float: ForeignScalar { public static var foreignType: ForeignType { .f32 } }
extension Double: ForeignScalar { public static var foreignType: ForeignType { .f64 } }
