// SPDX-License-Identifier: Apache-2.0

/// What a scalar of the manifest is read as. Each reader says what it wants, so that an error can.
struct SourceScalars {
    let file: String

    func wrong(_ value: SourceValue, _ name: String, _ wanted: String) -> ManifestError {
        if value.isNothing {
            return ManifestError(.wrongType, file, value.position, "\(name) has no value; write \(wanted)")
        }
        return ManifestError(.wrongType, file, value.position, "\(name) is \(wanted), and \(value.kind) stands here")
    }

    func bad(_ value: SourceValue, _ name: String, _ wanted: String) -> ManifestError {
        ManifestError(.badValue, file, value.position, "\(name) is \(wanted), and \(value.kind) stands here")
    }

    /// Text that is not empty. A number is text too, as options want it.
    func text(_ value: SourceValue, _ name: String, _ wanted: String = "text") throws(ManifestError) -> Located<String> {
        guard case .scalar(let text, _) = value.content, !value.isNothing, !text.isEmpty else { throw wrong(value, name, wanted) }
        guard text.utf8.count <= 4096 else {
            throw ManifestError(.badValue, file, value.position, "\(name) has \(text.utf8.count) bytes; at most 4096")
        }
        return Located(text, at: value.position)
    }

    /// A name of a device or stage: letters, digits, '_', '-' and '.'.
    func name(_ value: Located<String>, of what: String) throws(ManifestError) -> Located<String> {
        let good = value.value.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard good, value.value.utf8.count <= 64 else {
            throw ManifestError(
                .badValue, file, value.position,
                "\(Words.quoted(value.value)) cannot be the name of a \(what); use at most 64 letters, digits, '_', '-' and '.'")
        }
        return value
    }

    func integer<Number: FixedWidthInteger & Sendable>(
        _ value: SourceValue, _ name: String, _ range: ClosedRange<Number>
    ) throws(ManifestError) -> Located<Number> {
        let wanted = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .scalar(let text, isPlain: true) = value.content, !text.isEmpty else { throw wrong(value, name, wanted) }
        let digits = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        let isNumber = !digits.isEmpty && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard isNumber else { throw wrong(value, name, wanted) }
        guard let number = Number(text), range.contains(number) else { throw bad(value, name, wanted) }
        return Located(number, at: value.position)
    }

    /// A finite number for which `isGood` holds; `wanted` says which those are.
    func number(
        _ value: SourceValue, _ name: String, _ wanted: String, where isGood: (Double) -> Bool
    ) throws(ManifestError) -> Located<Double> {
        guard case .scalar(let text, isPlain: true) = value.content, let first = text.utf8.first else { throw wrong(value, name, wanted) }
        let special = [".inf", "+.inf", "-.inf", ".nan", "nan", "inf", "-inf", "infinity"].contains(text.lowercased())
        if special { throw bad(value, name, wanted) }
        let begins = Array("0123456789+-.".utf8).contains(first)
        guard begins, !text.lowercased().contains("x"), let number = Double(text) else { throw wrong(value, name, wanted) }
        guard number.isFinite, isGood(number) else { throw bad(value, name, wanted) }
        return Located(number, at: value.position)
    }

    func flag(_ value: SourceValue, _ name: String) throws(ManifestError) -> Located<Bool> {
        guard case .scalar(let text, isPlain: true) = value.content else { throw wrong(value, name, "on or off") }
        switch text.lowercased() {
        case "on", "true", "yes": return Located(true, at: value.position)
        case "off", "false", "no": return Located(false, at: value.position)
        default: throw wrong(value, name, "on or off")
        }
    }

    /// One of the cases of an enumeration, by its raw value.
    func choice<Choice: RawRepresentable<String> & CaseIterable & Hashable & Sendable>(
        _ value: SourceValue, _ name: String
    ) throws(ManifestError) -> Located<Choice> {
        let names = Choice.allCases.map(\.rawValue)
        guard case .scalar(let text, _) = value.content, !value.isNothing else { throw wrong(value, name, "one of \(Words.list(names))") }
        guard let found = Choice(rawValue: text) else {
            let near = Words.nearest(to: text, of: names).map { "; did you mean \(Words.quoted($0))?" } ?? ""
            throw ManifestError(
                .badValue, file, value.position, "\(name) is one of \(Words.list(names)), and \(Words.quoted(text)) stands here\(near)")
        }
        return Located(found, at: value.position)
    }

    /// `250ms`, `2s`, `1m`: more than nothing, at most an hour.
    func duration(_ value: SourceValue, _ name: String) throws(ManifestError) -> Located<Duration> {
        let wanted = "a time such as 250ms, 2s or 1m"
        guard case .scalar(let text, _) = value.content, !value.isNothing else { throw wrong(value, name, wanted) }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let milliseconds: Int64? = ["ms": 1, "s": 1000, "m": 60_000][String(text.dropFirst(digits.count))]
        guard let unit = milliseconds, !digits.isEmpty else { throw wrong(value, name, wanted) }
        let (total, overflow) = (Int64(digits) ?? .max).multipliedReportingOverflow(by: unit)
        guard !overflow, total > 0, total <= 3_600_000 else { throw bad(value, name, "\(wanted), from 1ms to 60m") }
        return Located(.milliseconds(total), at: value.position)
    }
}
