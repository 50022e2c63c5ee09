/// A refusal or failure as Bedrock words it: a name, the status that goes with it, and one line.
struct BedrockError: Error, Sendable, Hashable, CustomStringConvertible {
    enum Kind: String, CaseIterable, Sendable {
        case validation = "ValidationException"
        case accessDenied = "AccessDeniedException"
        case resourceNotFound = "ResourceNotFoundException"
        case unknownOperation = "UnknownOperationException"
        case throttling = "ThrottlingException"
        case modelNotReady = "ModelNotReadyException"
        case modelTimeout = "ModelTimeoutException"
        case modelError = "ModelErrorException"
        case modelStreamError = "ModelStreamErrorException"
        case internalServer = "InternalServerException"
        case serviceUnavailable = "ServiceUnavailableException"
        case requestTooLarge = "RequestEntityTooLargeException"
        case missingAuthentication = "MissingAuthenticationTokenException"
        case incompleteSignature = "IncompleteSignatureException"
        case unrecognizedClient = "UnrecognizedClientException"
        case invalidSignature = "InvalidSignatureException"
        case expiredToken = "ExpiredTokenException"

        /// The HTTP status.
        var status: Int {
            switch self {
            case .validation, .incompleteSignature: 400
            case .accessDenied, .missingAuthentication, .unrecognizedClient, .invalidSignature, .expiredToken: 403
            case .resourceNotFound, .unknownOperation: 404
            case .modelTimeout: 408
            case .requestTooLarge: 413
            case .modelError, .modelStreamError: 424
            case .throttling, .modelNotReady: 429
            case .internalServer: 500
            case .serviceUnavailable: 503
            }
        }

        /// As an event stream names it: the first letter small.
        var exceptionType: String { rawValue.prefix(1).lowercased() + rawValue.dropFirst() }
    }

    var kind: Kind
    var message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    init(_ refusal: SignatureRefusal) {
        self.init(Kind(rawValue: refusal.kind.rawValue) ?? .accessDenied, refusal.words)
    }

    /// - Parameter isStreaming: an answer has begun, and ends with it.
    init(_ refusal: Refusal, isStreaming: Bool = false) {
        if let signature = refusal.signature {
            self.init(signature)
            return
        }
        let kind: Kind =
            switch refusal.kind {
            case .invalid, .tooLong: .validation
            case .anonymous: .missingAuthentication
            case .unauthenticated: .unrecognizedClient
            case .forbidden: .accessDenied
            case .unknownModel: .resourceNotFound
            case .unknownPath, .wrongMethod: .unknownOperation
            case .tooLarge: .requestTooLarge
            case .limited, .busy: .throttling
            case .unavailable, .draining: .serviceUnavailable
            case .left: .modelTimeout
            case .failed: isStreaming ? .modelStreamError : .internalServer
            }
        self.init(kind, refusal.words)
    }

    var description: String { "\(kind.rawValue): \(message)" }
}
