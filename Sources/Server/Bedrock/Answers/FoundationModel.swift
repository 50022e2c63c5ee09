/// The model as Bedrock's lists describe it.
struct FoundationModel: Encodable {
    struct Lifecycle: Encodable { var status = "ACTIVE" }
    struct List: Encodable { var modelSummaries: [FoundationModel] }
    struct Details: Encodable { var modelDetails: FoundationModel }

    var modelArn: String
    var modelId: String
    var modelName: String
    var providerName = "Baton"
    var inputModalities = ["TEXT"]
    var outputModalities = ["TEXT"]
    var responseStreamingSupported = true
    var customizationsSupported: [String] = []
    var inferenceTypesSupported = ["ON_DEMAND"]
    var modelLifecycle = Lifecycle()

    init(_ id: BedrockModelID, region: String) {
        modelArn = id.arn(region: region)
        modelId = id.listed
        modelName = id.name
    }

    /// Whether it passes the filters of a list's query.
    func passes(_ query: [(name: String, value: String)]) throws(Refusal) -> Bool {
        var passes = true
        for (name, value) in query {
            switch name {
            case "byProvider": passes = passes && value.lowercased() == providerName.lowercased()
            case "byOutputModality": passes = try Self.has(value, outputModalities, of: ["TEXT", "IMAGE", "EMBEDDING"], name) && passes
            case "byInferenceType": passes = try Self.has(value, inferenceTypesSupported, of: ["ON_DEMAND", "PROVISIONED"], name) && passes
            case "byCustomizationType":
                passes = try Self.has(value, customizationsSupported, of: ["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"], name) && passes
            default: break
            }
        }
        return passes
    }

    private static func has(_ value: String, _ mine: [String], of all: [String], _ name: String) throws(Refusal) -> Bool {
        guard all.contains(value) else { throw Refusal(.invalid, "\(name) is \(value.prefix(40)); give \(all.joined(separator: " or "))", field: name) }
        return mine.contains(value)
    }
}
