extension ForeignValue {
    /// Reads one argument as a command line writes it: `true`, `-12`, `0xFF`, `0.5`, text for `str`, `null` for an address, and
    /// `[1, 2.5, 3]` for a `T*`, which becomes a buffer. Errors: kind `value`, naming the text and what the type holds.
    public static func parse(_ text: String, as type: ForeignType) throws(ForeignError) -> ForeignValue {
        switch type {
        case .void: throw ForeignError(.value, "\(ForeignText.quoted(text)) is given for void, which has no value")
        case .bool: return .bool(try bool(text))
        case .i8: return .i8(try integer(text))
        case .u8: return .u8(try integer(text))
        case .i16: return .i16(try integer(text))
        case .u16: return .u16(try integer(text))
        case .i32: return .i32(try integer(text))
        case .u32: return .u32(try integer(text))
        case .i64: return .i64(try integer(text))
        case .u64: return .u64(try integer(text))
        case .f32: return .f32(try number(text, of: type, as: Float.self))
        case .f64: return .f64(try number(text, of: type, as: Double.self))
        case .string: return .string(try string(text))
        case .pointer(let target): return try address(text, to: target)
        case .callback:
            if text == "null" { return .pointer(nil) }
            throw ForeignError(.value, "\(ForeignText.quoted(text)) cannot be a callback; a command line can only pass null for one")
        }
    }

    private static func bool(_ text: String) throws(ForeignError) -> Bool {
        switch text {
        case "true", "1": return true
        case "false", "0": return false
        default: throw ForeignError(.value, "\(ForeignText.quoted(text)) is not a bool; write true or false")
        }
    }

    private static func integer<T: FixedWidthInteger>(_ text: String) throws(ForeignError) -> T {
        let type = "\(T.isSigned ? "i" : "u")\(T.bitWidth)"
        let negative = text.hasPrefix("-")
        let digits = negative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        let radix = digits.hasPrefix("0x") || digits.hasPrefix("0X") ? 16 : 10
        let bare = radix == 16 ? digits.dropFirst(2) : digits
        guard !bare.isEmpty, bare.utf8.allSatisfy({ isDigit($0, radix: radix) }) else {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) is not an integer, which \(type) needs; write 12, -12 or 0x0C")
        }
        guard let value = T((negative ? "-" : "") + bare, radix: radix) else {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) does not fit \(type), which holds \(T.min) to \(T.max)")
        }
        return value
    }

    private static func isDigit(_ byte: UInt8, radix: Int) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): radix == 16
        default: false
        }
    }

    private static func number<T: BinaryFloatingPoint & LosslessStringConvertible>(
        _ text: String, of type: ForeignType, as: T.Type
    ) throws(ForeignError) -> T {
        guard let value = T(text) else {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) is not a number, which \(type) needs; write 0.5, -1e-3, inf or nan")
        }
        // A finite text that rounds to infinity is out of range, not infinite.
        if value.isInfinite, !text.lowercased().contains("inf") {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) does not fit \(type), which holds up to \(T.greatestFiniteMagnitude)")
        }
        return value
    }

    private static func string(_ text: String) throws(ForeignError) -> String {
        guard ForeignText.isWhole(text) else {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) has a NUL inside, which ends a C string; remove it")
        }
        return text
    }

    private static func address(_ text: String, to target: ForeignType?) throws(ForeignError) -> ForeignValue {
        if text == "null" { return .pointer(nil) }
        guard let target, !target.isAddress else {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) cannot be an address; write null, or declare the parameter as T* and write a list")
        }
        guard text.hasPrefix("["), text.hasSuffix("]"), text.utf8.count >= 2 else {
            throw ForeignError(.value, "\(ForeignText.quoted(text)) is not a list, which \(target)* needs; write [1, 2, 3] or null")
        }
        var values: [ForeignValue] = []
        let inside = text.dropFirst().dropLast()
        for item in inside.allSatisfy(\.isWhitespace) ? [] : inside.split(separator: ",", omittingEmptySubsequences: false) {
            values.append(try parse(trimmed(item), as: target))
        }
        return .buffer(try ForeignBuffer(target, values))
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
