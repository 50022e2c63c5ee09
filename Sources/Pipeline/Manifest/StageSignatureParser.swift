// SPDX-License-Identifier: Apache-2.0

/// Reads the text of a signature once, from left to right.
struct StageSignatureParser {
    private typealias Failure = StageSignature.Failure
    private typealias ValueType = StageSignature.ValueType

    private let scalars: [Unicode.Scalar]
    private var index = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func signature() throws(StageSignature.Failure) -> StageSignature {
        guard scalars.count <= 4096 else { throw Failure(column: 1, message: "\(scalars.count) characters; at most 4096") }
        let returnType = try type(of: "the result")
        let name = word() ?? ""
        try expect("(", "before the parameters")
        let parameters = try parameters()
        skipSpace()
        guard index == scalars.count else { throw unexpected("the end of the signature") }
        return StageSignature(returnType: returnType, name: name, parameters: parameters)
    }

    private mutating func parameters() throws(StageSignature.Failure) -> [StageSignature.Parameter] {
        var list: [StageSignature.Parameter] = []
        if take(")") { return list }
        repeat {
            skipSpace()
            let start = index
            let type = try type(of: "a parameter")
            if type == .void {
                if list.isEmpty, take(")") { return [] }
                throw failure(at: start, "a parameter cannot be void; write ptr for an address of anything")
            }
            guard list.count < 64 else { throw failure(at: start, "more than 64 parameters") }
            list.append(.init(type, word()))
        } while take(",")
        try expect(")", "after the parameters")
        return list
    }

    private mutating func type(of what: String) throws(StageSignature.Failure) -> StageSignature.ValueType {
        skipSpace()
        var start = index
        var name = word()
        if name == "const" {
            skipSpace()
            start = index
            name = word()
        }
        guard let name else { throw unexpected("the type of \(what)") }
        guard var type = ValueType.named[name] else { throw unknown(name, at: start) }
        var stars = 0
        while take("*") {
            stars += 1
            guard stars <= 8 else { throw failure(at: index - 1, "more than 8 stars") }
            type = .pointer(type == .void ? nil : type)
        }
        return type
    }

    private func unknown(_ name: String, at start: Int) -> StageSignature.Failure {
        let cNames = [
            "char": "i8", "short": "i16", "int": "i32", "float": "f32", "double": "f64", "size_t": "u64", "int8_t": "i8", "uint8_t": "u8",
            "int32_t": "i32", "uint32_t": "u32", "int64_t": "i64", "uint64_t": "u64", "_Bool": "bool",
        ]
        if let known = cNames[name] { return failure(at: start, "unknown type \(Words.quoted(name)); write \(known)") }
        let types = ["void", "bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "ptr", "T*"]
        return failure(at: start, "unknown type \(Words.quoted(name)); the types are \(Words.list(types))")
    }

    private mutating func expect(_ scalar: Unicode.Scalar, _ place: String) throws(StageSignature.Failure) {
        guard take(scalar) else { throw unexpected("'\(scalar)' \(place)") }
    }

    private func unexpected(_ wanted: String) -> StageSignature.Failure {
        let found = index < scalars.count ? Words.quoted(String(scalars[index])) : "the end"
        return failure(at: index, "\(found) stands where \(wanted) is expected; write one like \"f64 cos(f64)\"")
    }

    private func failure(at place: Int, _ message: String) -> StageSignature.Failure { Failure(column: place + 1, message: message) }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard index < scalars.count, scalars[index] == scalar else { return false }
        index += 1
        return true
    }

    private mutating func word() -> String? {
        skipSpace()
        var text = String.UnicodeScalarView()
        while index < scalars.count, Self.isWord(scalars[index], first: text.isEmpty) {
            text.append(scalars[index])
            index += 1
        }
        return text.isEmpty ? nil : String(text)
    }

    private static func isWord(_ scalar: Unicode.Scalar, first: Bool) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "_": true
        case "0"..."9": !first
        default: false
        }
    }

    private mutating func skipSpace() {
        while index < scalars.count, [" ", "\t", "\n", "\r"].contains(scalars[index]) { index += 1 }
    }
}
