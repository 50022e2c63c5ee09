/// Why a request failed, as far as one counts them apart.
public enum LoadFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// Another status than 200, with the server's own code if it gave one.
    case status(Int, String)
    /// An error inside of the stream.
    case stream(String)
    /// No connection; no answer in time; the connection broke before the end; an answer that is no completion; an answer without a token.
    case unreachable, timeout, cut, malformed, empty
    /// Never sent: too many were on their way.
    case leftOut

    public var description: String {
        switch self {
        case .status(let status, let code): code.isEmpty ? "status \(status)" : "status \(status) \(code)"
        case .stream(let code): code.isEmpty ? "error in the stream" : "error in the stream: \(code)"
        case .unreachable: "no connection"
        case .timeout: "timeout"
        case .cut: "connection lost"
        case .malformed: "not a completion"
        case .empty: "no token"
        case .leftOut: "not sent, too many on their way"
        }
    }
}
