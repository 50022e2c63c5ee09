/// The head of a request as it stood on the wire: nothing decoded, nothing put in order. What a signature speaks of.
struct WireRequest: Sendable {
    var method: String
    /// Up to the `?`, which is left out.
    var path: String
    /// After the `?`; empty without one.
    var query: String
    /// Names in lower case, `host` among them, in the order they came; a name may come twice.
    var headers: [(name: String, value: String)]

    /// The values of a header, in order.
    func values(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }

    /// The value of a header that came exactly once.
    func single(_ name: String) -> String? {
        let values = values(name)
        return values.count == 1 ? values[0] : nil
    }
}
