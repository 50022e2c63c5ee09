import CFFI

/// The type of a parameter or result of a C function, as a signature writes it.
public indirect enum ForeignType: Hashable, Sendable {
    /// No value; results only.
    case void
    /// `_Bool`.
    case bool
    case i8, u8, i16, u16, i32, u32, i64, u64, f32, f64
    /// An address: `T*`, or `ptr` (nil) for one whose target is not stated.
    case pointer(to: ForeignType?)
    /// `str`: the address of NUL-terminated UTF-8.
    case string
    /// `callback`: the address of a function.
    case callback

    /// The types a signature may name, by name.
    static let named: [String: ForeignType] = [
        "void": .void, "bool": .bool, "i8": .i8, "u8": .u8, "i16": .i16, "u16": .u16, "i32": .i32, "u32": .u32,
        "i64": .i64, "u64": .u64, "f32": .f32, "f64": .f64, "ptr": .pointer(to: nil), "str": .string, "callback": .callback,
    ]

    /// What C's own names mean here on LP64, to say so to whoever writes them.
    static let equivalents: [String: String] = [
        "char": "i8", "short": "i16", "int": "i32", "unsigned": "u32", "long": "i64", "float": "f32", "double": "f64",
        "_Bool": "bool", "size_t": "u64", "ssize_t": "i64", "intptr_t": "i64", "uintptr_t": "u64",
        "int8_t": "i8", "uint8_t": "u8", "int16_t": "i16", "uint16_t": "u16", "int32_t": "i32", "uint32_t": "u32",
        "int64_t": "i64", "uint64_t": "u64", "string": "str", "pointer": "ptr",
    ]

    /// How libffi passes it.
    var code: cffi_type {
        switch self {
        case .void: cffi_type(CFFI_VOID)
        case .bool: cffi_type(CFFI_BOOL)
        case .i8: cffi_type(CFFI_I8)
        case .u8: cffi_type(CFFI_U8)
        case .i16: cffi_type(CFFI_I16)
        case .u16: cffi_type(CFFI_U16)
        case .i32: cffi_type(CFFI_I32)
        case .u32: cffi_type(CFFI_U32)
        case .i64: cffi_type(CFFI_I64)
        case .u64: cffi_type(CFFI_U64)
        case .f32: cffi_type(CFFI_F32)
        case .f64: cffi_type(CFFI_F64)
        case .pointer, .string, .callback: cffi_type(CFFI_POINTER)
        }
    }

    /// Bytes of one value in memory; 0 for void.
    public var size: Int {
        switch self {
        case .void: 0
        case .bool, .i8, .u8: 1
        case .i16, .u16: 2
        case .i32, .u32, .f32: 4
        case .i64, .u64, .f64, .pointer, .string, .callback: 8
        }
    }

    /// True for the types that are an address in C.
    public var isAddress: Bool { code == cffi_type(CFFI_POINTER) }
}

extension ForeignType: CustomStringConvertible {
    /// As a signature writes it.
    public var description: String {
        switch self {
        case .pointer(to: nil): "ptr"
        case .pointer(to: let target?): "\(target)*"
        case .string: "str"
        case .void: "void"
        case .bool: "bool"
        case .i8: "i8"
        case .u8: "u8"
        case .i16: "i16"
        case .u16: "u16"
        case .i32: "i32"
        case .u32: "u32"
        case .i64: "i64"
        case .u64: "u64"
        case .f32: "f32"
        case .f64: "f64"
        case .callback: "callback"
        }
    }
}
