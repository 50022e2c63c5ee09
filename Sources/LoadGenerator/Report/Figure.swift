import Glibc

/// Figures as a person reads them: three digits that count.
public enum Figure {
    public static func short(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        let size = abs(value)
        let places = size == 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3
        let scale = pow(10, Double(places))
        let rounded = Int64((size * scale).rounded())
        let unit = Int64(scale)
        let fraction = places == 0 ? "" : trimmed(rounded % unit, places)
        return (value < 0 && rounded > 0 ? "-" : "") + "\(rounded / unit)" + fraction
    }

    private static func trimmed(_ fraction: Int64, _ places: Int) -> String {
        var digits = String(fraction)
        digits = String(repeating: "0", count: max(0, places - digits.count)) + digits
        while digits.last == "0" { digits.removeLast() }
        return digits.isEmpty ? "" : "." + digits
    }

    /// Nanoseconds with their unit.
    static func time(_ nanoseconds: Double) -> String {
        if nanoseconds >= 1e9 { return short(nanoseconds / 1e9) + " s" }
        return nanoseconds >= 1e6 ? short(nanoseconds / 1e6) + " ms" : short(nanoseconds / 1e3) + " us"
    }
}
