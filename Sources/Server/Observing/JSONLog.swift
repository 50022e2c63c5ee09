internal import FoundationEssentials
public import Logging

/// A log of one JSON object a line: time, level, message, and the metadata as fields.
public struct JSONLog: LogHandler {
    public var logLevel = Logger.Level.info
    public var metadata: Logger.Metadata = [:]
    private let label: String
    private let write: @Sendable (String) -> Void

    /// - Parameter write: gets whole lines, from any thread.
    public init(label: String, write: @escaping @Sendable (String) -> Void) {
        self.label = label
        self.write = write
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues(Field.init)
        let now = Date().formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
        for (name, text) in [("time", now), ("level", event.level.rawValue), ("logger", label), ("message", "\(event.message)")] {
            fields[name] = .text(text)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let line = try? encoder.encode(fields) else { return }
        write(String(decoding: line, as: UTF8.self) + "\n")
    }
}

/// One field of a line: numbers and flags as such, all else as text.
private enum Field: Encodable {
    case text(String)
    case whole(Int)
    case number(Double)
    case flag(Bool)

    init(_ value: Logger.Metadata.Value) {
        guard case .stringConvertible(let value) = value else {
            self = .text("\(value)")
            return
        }
        self = switch value {
        case let value as Int: .whole(value)
        case let value as Double: .number(value)
        case let value as Bool: .flag(value)
        default: .text("\(value)")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let value): try container.encode(value)
        case .whole(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .flag(let value): try container.encode(value)
        }
    }
}
