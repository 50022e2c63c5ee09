// SPDX-License-Identifier: Apache-2.0

/// How wide text is at most, in the widest of the fonts that a picture may be shown in. Boxes are drawn to it, so no text overflows one.
enum TextMeasure {
    static func width(_ text: String, size: Double, isBold: Bool = false) -> Double {
        let ems = text.unicodeScalars.reduce(0.0) { $0 + em($1) }
        return ems * size * (isBold ? 1.1 : 1)
    }

    static func width(_ lines: [String], size: Double) -> Double { lines.map { width($0, size: size) }.max() ?? 0 }

    private static func em(_ scalar: Unicode.Scalar) -> Double {
        switch scalar {
        case "i", "j", "l", "'", "|", ".", ",", ":", ";", "!", " ": 0.36
        case "f", "r", "t", "I", "(", ")", "[", "]", "-", "/", "\"": 0.44
        case "m", "w", "M", "W", "@", "%": 1.0
        case "A"..."Z", "+", "=", "<", ">", "~": 0.82
        case "\u{20}"..."\u{7E}": 0.65
        default: 1.05
        }
    }
}
