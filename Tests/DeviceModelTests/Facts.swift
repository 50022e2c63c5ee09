import Foundation

/// Public figures and what follows from them by arithmetic, which the models are held to.
struct Facts: Decodable {
    struct Model: Decodable {
        var layers: Int
        var hidden: Int
        var heads: Int
        var kv_heads: Int
        var head_dim: Int
        var ffn: Int
        var vocab: Int
        var linear_flops_per_token: Double
        var weights_fp16_bytes: Double
    }
    struct Prefill: Decodable {
        var bf16_ms: Double
        var mxfp8_ms: Double
    }
    struct Worked: Decodable { var value: [String: Prefill] }
    struct Rates: Decodable { var value: [String: Double] }
    struct Calibration: Decodable {
        var prefill_worked_S8192_one_trn3_40pct_mfu: Worked
        var cs3_layer_latency_us: Rates
    }

    var calibration: Calibration
    var models: [String: Model]

    static func load() throws -> Facts {
        let path = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Fixtures/facts.json"
        return try JSONDecoder().decode(Facts.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }
}
