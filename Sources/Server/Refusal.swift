internal import Engine

/// Why a request is not answered, before a dialect says it in its own words. One line: what was asked, what was found, what to do.
struct Refusal: Error, Sendable {
    enum Kind: Sendable {
        /// The request is wrong: its JSON, a field, a value. A different request may be answered.
        case invalid
        /// Prompt and completion do not fit the model's context, or never fit its KV.
        case tooLong
        /// No credentials were given; those that were given are wrong.
        case anonymous, unauthenticated
        /// Known, and not allowed.
        case forbidden
        case unknownModel
        case unknownPath
        case wrongMethod
        /// The body has more bytes than are read.
        case tooLarge
        /// A limit of the client's key; a full queue.
        case limited, busy
        /// A device that it needs rests after a failure.
        case unavailable
        /// The server is going down.
        case draining
        /// Nobody is there any more to be answered.
        case left
        /// It failed while running.
        case failed
    }
    var kind: Kind
    var words: String
    /// The field that is wrong, as the client wrote it.
    var field: String?
    /// What was wrong with its signature.
    var signature: SignatureRefusal?
    /// Seconds after which asking again may help.
    var retryAfter: Double?

    init(_ kind: Kind, _ words: String, field: String? = nil, retryAfter: Double? = nil) {
        self.kind = kind
        self.words = words
        self.field = field
        self.retryAfter = retryAfter
    }

    /// The status that HTTP has for it.
    var status: Int {
        switch kind {
        case .invalid, .tooLong: 400
        case .anonymous, .unauthenticated: 401
        case .forbidden: 403
        case .unknownModel, .unknownPath: 404
        case .wrongMethod: 405
        case .tooLarge: 413
        case .limited, .busy: 429
        case .left: 499
        case .failed: 500
        case .unavailable, .draining: 503
        }
    }

    /// Whole seconds for `Retry-After`, at least 1.
    var retryAfterSeconds: Int? { retryAfter.map { max(1, Int(min($0, 86_400).rounded(.up))) } }
}

extension Refusal {
    init(_ error: EngineError, isDraining: Bool) {
        switch error.kind {
        case .usage: self.init(error.words.hasPrefix("never_fits") ? .tooLong : .invalid, error.words)
        case .busy: self.init(isDraining ? .draining : .busy, error.words, retryAfter: error.retryAfter ?? 1)
        case .unavailable: self.init(.unavailable, error.words, retryAfter: error.retryAfter ?? 1)
        case .placement, .driver, .handoff, .foreign: self.init(.failed, error.words)
        }
    }
}
