/// One argument or result of a foreign call.
public enum ForeignValue {
    /// The result of a void function.
    case void
    case bool(Bool)
    case i8(Int8), u8(UInt8), i16(Int16), u16(UInt16), i32(Int32), u32(UInt32), i64(Int64), u64(UInt64)
    case f32(Float), f64(Double)
    /// An address, owned by whoever made it; it must stay valid as long as the function uses it.
    case pointer(UnsafeMutableRawPointer?)
    /// Text. As an argument: a NUL-terminated copy that lives until the call returns. As a result: a copy of what the function returned.
    case string(String)
    /// An array, kept alive until the call returns.
    case buffer(ForeignBuffer)
    /// A function of the host's, kept alive until the call returns; keep it yourself when the function stores the pointer.
    case callback(ForeignClosure)

    /// What it is, in a word, for errors.
    var kind: String {
        switch self {
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
        case .pointer: "a pointer"
        case .string: "a string"
        case .buffer(let buffer): "a buffer of \(buffer.element)"
        case .callback(let closure): "a callback '\(closure.signature)'"
        }
    }

    /// True when it is a number or bool of exactly this type. Nothing is converted.
    func isScalar(of type: ForeignType) -> Bool {
        switch (self, type) {
        case (.bool, .bool), (.i8, .i8), (.u8, .u8), (.i16, .i16), (.u16, .u16), (.i32, .i32), (.u32, .u32), (.i64, .i64),
            (.u64, .u64), (.f32, .f32), (.f64, .f64):
            true
        default: false
        }
    }

    /// True when it may be passed for a parameter of this type.
    func fits(_ type: ForeignType) -> Bool {
        switch (self, type) {
        case (.pointer, _): type.isAddress
        case (.string, .string), (.string, .pointer(to: nil)), (.string, .pointer(to: .i8)), (.string, .pointer(to: .u8)): true
        case (.buffer, .pointer(to: nil)): true
        case (.buffer(let buffer), .pointer(to: let target?)): buffer.element == target
        case (.callback, .callback), (.callback, .pointer(to: nil)): true
        default: isScalar(of: type)
        }
    }

    /// Writes a number, bool or address in C's form. Writes nothing for void, and for a string, whose copy the call makes.
    func store(at address: UnsafeMutableRawPointer) {
        switch self {
        case .void, .string: break
        case .bool(let value): address.storeBytes(of: value ? 1 : 0, as: UInt8.self)
        case .i8(let value): address.storeBytes(of: value, as: Int8.self)
        case .u8(let value): address.storeBytes(of: value, as: UInt8.self)
        case .i16(let value): address.storeBytes(of: value, as: Int16.self)
        case .u16(let value): address.storeBytes(of: value, as: UInt16.self)
        case .i32(let value): address.storeBytes(of: value, as: Int32.self)
        case .u32(let value): address.storeBytes(of: value, as: UInt32.self)
        case .i64(let value): address.storeBytes(of: value, as: Int64.self)
        case .u64(let value): address.storeBytes(of: value, as: UInt64.self)
        case .f32(let value): address.storeBytes(of: value, as: Float.self)
        case .f64(let value): address.storeBytes(of: value, as: Double.self)
        case .pointer(let value): address.storeBytes(of: value, as: UnsafeMutableRawPointer?.self)
        case .buffer(let buffer): address.storeBytes(of: buffer.address, as: UnsafeMutableRawPointer.self)
        case .callback(let closure): address.storeBytes(of: closure.pointer, as: UnsafeMutableRawPointer.self)
        }
    }

    /// Reads a number or bool of a type; nil for the other types.
    init?(scalar type: ForeignType, at address: UnsafeRawPointer) {
        switch type {
        case .bool: self = .bool(address.load(as: UInt8.self) != 0)
        case .i8: self = .i8(address.load(as: Int8.self))
        case .u8: self = .u8(address.load(as: UInt8.self))
        case .i16: self = .i16(address.load(as: Int16.self))
        case .u16: self = .u16(address.load(as: UInt16.self))
        case .i32: self = .i32(address.load(as: Int32.self))
        case .u32: self = .u32(address.load(as: UInt32.self))
        case .i64: self = .i64(address.load(as: Int64.self))
        case .u64: self = .u64(address.load(as: UInt64.self))
        case .f32: self = .f32(address.load(as: Float.self))
        case .f64: self = .f64(address.load(as: Double.self))
        case .void, .pointer, .string, .callback: return nil
        }
    }

    /// Reads a value of any type. A `str` becomes a copy of its text, or a null pointer when it is null.
    init(_ type: ForeignType, at address: UnsafeRawPointer) {
        if let scalar = ForeignValue(scalar: type, at: address) {
            self = scalar
            return
        }
        guard type != .void else {
            self = .void
            return
        }
        let target = address.load(as: UnsafeMutableRawPointer?.self)
        if type == .string, let target { self = .string(ForeignText.read(target)) } else { self = .pointer(target) }
    }
}

extension ForeignValue: CustomStringConvertible {
    /// The value as text: numbers in decimal, `null`, addresses in hexadecimal, `[1.0, 2.0]`, strings as they are.
    public var description: String {
        switch self {
        case .void: ""
        case .bool(let value): "\(value)"
        case .i8(let value): "\(value)"
        case .u8(let value): "\(value)"
        case .i16(let value): "\(value)"
        case .u16(let value): "\(value)"
        case .i32(let value): "\(value)"
        case .u32(let value): "\(value)"
        case .i64(let value): "\(value)"
        case .u64(let value): "\(value)"
        case .f32(let value): "\(value)"
        case .f64(let value): "\(value)"
        case .pointer(nil): "null"
        case .pointer(let value?): "0x\(String(UInt(bitPattern: value), radix: 16))"
        case .string(let text): text
        case .buffer(let buffer): buffer.description
        case .callback(let closure): "callback '\(closure.signature)'"
        }
    }
}
