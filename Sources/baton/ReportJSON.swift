import Engine
import Tokens

/// The report as `baton run --json` prints it. Milliseconds; wall and modelled apart.
struct ReportJSON: Encodable {
    struct Stage: Encodable {
        var stage, device, driver, engine: String
        var tokens: Int
        var wall_ms: Double
        var modelled_ms: OrNull
        var driver_layers: [String]
    }
    struct Handoff: Encodable {
        var bytes, pieces, copies: Int
        var from_layout, to_layout, conversion, state: String
        var exposed_ms, hidden_ms: Double
        var modelled_exposed_ms, modelled_hidden_ms: OrNull
        var recomputed: Bool
    }
    var text: String
    var prompt_tokens, completion_tokens: [Int32]
    var finish_reason: String
    var stages: [Stage]
    var handoff: Handoff?
    var route, route_reason: String
    var ttft_prefill_ms, ttft_user_ms: Double

    init(_ report: RunReport) {
        text = report.text
        prompt_tokens = report.promptTokens
        completion_tokens = report.completionTokens
        finish_reason = report.finishReason.rawValue
        stages = report.stages.map {
            Stage(
                stage: $0.stage, device: $0.device, driver: $0.driver, engine: $0.engine, tokens: $0.tokens, wall_ms: $0.wallNanoseconds.milliseconds,
                modelled_ms: OrNull($0.modelledNanoseconds?.milliseconds), driver_layers: $0.driverLayers)
        }
        handoff = report.handoff.map {
            Handoff(
                bytes: $0.bytes, pieces: $0.pieces, copies: $0.copies, from_layout: $0.fromLayout, to_layout: $0.toLayout,
                conversion: $0.conversion, state: $0.state, exposed_ms: $0.exposedNanoseconds.milliseconds,
                hidden_ms: $0.hiddenNanoseconds.milliseconds, modelled_exposed_ms: OrNull($0.modelledExposedNanoseconds?.milliseconds),
                modelled_hidden_ms: OrNull($0.modelledHiddenNanoseconds?.milliseconds), recomputed: $0.recomputed)
        }
        route = report.route
        route_reason = report.routeReason
        ttft_prefill_ms = report.ttftPrefill.milliseconds
        ttft_user_ms = report.ttftUser.milliseconds
    }

    private enum CodingKeys: String, CodingKey {
        case text, prompt_tokens, completion_tokens, finish_reason, stages, handoff, route, route_reason, ttft_prefill_ms, ttft_user_ms
    }

    /// `handoff` is there even when there was none, as null.
    func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(text, forKey: .text)
        try object.encode(prompt_tokens, forKey: .prompt_tokens)
        try object.encode(completion_tokens, forKey: .completion_tokens)
        try object.encode(finish_reason, forKey: .finish_reason)
        try object.encode(stages, forKey: .stages)
        try object.encode(handoff, forKey: .handoff)
        try object.encode(route, forKey: .route)
        try object.encode(route_reason, forKey: .route_reason)
        try object.encode(ttft_prefill_ms, forKey: .ttft_prefill_ms)
        try object.encode(ttft_user_ms, forKey: .ttft_user_ms)
    }
}

/// A number, or null: the key is there either way.
struct OrNull: Encodable {
    private let value: Double?
    init(_ value: Double?) { self.value = value }

    func encode(to encoder: any Encoder) throws {
        var single = encoder.singleValueContainer()
        if let value { try single.encode(value) } else { try single.encodeNil() }
    }
}

extension UInt64 {
    /// Nanoseconds as milliseconds, to a microsecond.
    var milliseconds: Double { (Double(self) / 1000).rounded() / 1000 }
}

/// The report as people read it after the text.
struct ReportTable {
    private let report: RunReport
    init(_ report: RunReport) { self.report = report }

    var text: String {
        var rows = [["stage", "device", "driver", "engine", "tokens", "wall ms", "modelled ms", "tok/s wall", "tok/s modelled"]]
        rows += report.stages.map { stage in
            [
                stage.stage, stage.device, stage.driver, stage.engine, "\(stage.tokens)", Self.fixed(stage.wallNanoseconds),
                stage.modelledNanoseconds.map(Self.fixed) ?? "-", Self.rate(stage.tokens, stage.wallNanoseconds),
                stage.modelledNanoseconds.map { Self.rate(stage.tokens, $0) } ?? "-",
            ]
        }
        return Terminal.dim("\n" + Columns(rows, right: 4).text + handoff + layers)
    }

    private var layers: String {
        let all = report.stages.filter { !$0.driverLayers.isEmpty }.map { "\n\($0.stage): layers around the driver \($0.driverLayers.joined(separator: ", "))" }
        return all.joined()
    }

    private var handoff: String {
        guard let handoff = report.handoff else { return "\nroute: \(report.route), \(report.routeReason)" }
        let modelled = handoff.modelledExposedNanoseconds.map { exposed in
            "; modelled: exposed \(Self.fixed(exposed)) ms, hidden \(Self.fixed(handoff.modelledHiddenNanoseconds ?? 0)) ms"
        }
        return """

            handoff: \(handoff.state), \(ByteCount(handoff.bytes)) in \(handoff.pieces) pieces, \(handoff.copies) copies, \(handoff.conversion)\(handoff.recomputed ? ", recomputed" : "")
              from \(handoff.fromLayout) to \(handoff.toLayout)
              wall: exposed \(Self.fixed(handoff.exposedNanoseconds)) ms, hidden \(Self.fixed(handoff.hiddenNanoseconds)) ms\(modelled ?? "")
            route: \(report.route), \(report.routeReason)
            """
    }

    static func fixed(_ nanoseconds: UInt64) -> String {
        let hundredths = (nanoseconds + 5000) / 10_000
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    private static func rate(_ tokens: Int, _ nanoseconds: UInt64) -> String {
        nanoseconds == 0 ? "-" : "\(Int(Double(tokens) * 1e9 / Double(nanoseconds)))"
    }
}

/// Rows of text in columns; from column `right` on they are aligned to the right.
struct Columns {
    private let rows: [[String]]
    private let right: Int
    init(_ rows: [[String]], right: Int = .max) {
        self.rows = rows
        self.right = right
    }

    var text: String {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return column >= right ? padding + row[column] : row[column] + padding
            }.joined(separator: "  ").trimmedRight
        }.joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmedRight: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
