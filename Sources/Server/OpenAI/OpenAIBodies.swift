/// What OpenAI's clients are answered. Property names become snake_case.
enum OpenAIBodies {
    struct ModelList: Encodable {
        var object = "list"
        var data: [Model]
    }

    struct Model: Encodable {
        var id: String
        var object = "model"
        var created: Int
        var ownedBy = "baton"
    }

    struct Failure: Encodable {
        struct Detail: Encodable {
            var message: String
            var type: String
            @OrNull var param: String?
            @OrNull var code: String?
        }
        var error: Detail
    }

    struct Usage: Encodable {
        struct PromptDetails: Encodable { var cachedTokens: Int }
        var promptTokens: Int
        var completionTokens: Int
        var totalTokens: Int
        var promptTokensDetails: PromptDetails
    }

    struct Logprob: Encodable {
        struct Top: Encodable {
            var token: String
            var logprob: Float
            var bytes: [UInt8]
        }
        var token: String
        var logprob: Float
        var bytes: [UInt8]
        var topLogprobs: [Top]
    }

    struct ChatLogprobs: Encodable {
        var content: [Logprob]
        @OrNull var refusal: String?
    }

    struct ChatMessage: Encodable {
        var role: String?
        var content: String?
        /// Of whole messages only.
        var refusal: Nothing?
    }

    struct ChatChoice: Encodable {
        var index: Int
        /// One of them: whole answers have a message, pieces of streams a delta.
        var message: ChatMessage?
        var delta: ChatMessage?
        @OrNull var logprobs: ChatLogprobs?
        @OrNull var finishReason: String?
    }

    struct TextLogprobs: Encodable {
        var tokens: [String] = []
        var tokenLogprobs: [Float] = []
        var topLogprobs: [[String: Float]] = []
        var textOffset: [Int] = []
    }

    struct TextChoice: Encodable {
        var index: Int
        var text: String
        @OrNull var logprobs: TextLogprobs?
        @OrNull var finishReason: String?
    }

    struct Reply<Choice: Encodable>: Encodable {
        var id: String
        var object: String
        var created: Int
        var model: String
        var choices: [Choice]
        var usage: Usage?
        var serviceTier: String?
        var systemFingerprint = "baton"
    }

    /// Encoded as null.
    struct Nothing: Encodable {
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        }
    }
}

/// A value that stands as null, rather than not at all, when there is none.
@propertyWrapper
struct OrNull<Value: Encodable>: Encodable {
    var wrappedValue: Value?
    init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
    }
}
