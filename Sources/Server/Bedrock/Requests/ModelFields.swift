/// `additionalModelRequestFields`: what this model takes beyond what all have. Others are refused by name.
struct ModelFields: Decodable, Sendable, Hashable {
    var topK: Int?
    var seed: UInt64?

    init() {}

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: AnyKey.self)
        for key in fields.allKeys where !["top_k", "seed"].contains(key.stringValue) {
            throw fields.wrong(AnyKey(String(key.stringValue.prefix(100))), "is not taken by this model; give top_k, seed or neither")
        }
        topK = try fields.count(AnyKey("top_k"), from: 0)
        seed = try fields.whole(AnyKey("seed")).map { UInt64(bitPattern: Int64($0)) }
    }
}
