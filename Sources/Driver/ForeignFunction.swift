import CFFI

/// A C function whose signature is known only at run time. The call interface is prepared once, here, and cached.
/// A signature that is not the function's own is not detected by anyone: the call is then undefined, as in C.
/// Threads: any, as far as the function itself allows it.
public final class ForeignFunction: Sendable {
    public let signature: ForeignSignature
    /// The library the function comes from.
    public let library: ForeignLibrary?
    let interface: ForeignInterface
    private let entry: UInt

    /// Finds the function that `signature` names in `library`. Errors: kind `function` when it is not there; `signature` when no name is given.
    public init(_ signature: ForeignSignature, in library: ForeignLibrary) throws(ForeignError) {
        guard !signature.name.isEmpty else {
            throw ForeignError(.signature, library: library.name, column: 1, "signature '\(signature)' names no function; write one like 'f64 cos(f64)'")
        }
        self.entry = UInt(bitPattern: try library.address(of: signature.name))
        self.interface = try ForeignInterface(signature)
        self.signature = signature
        self.library = library
    }

    /// The function at an address, which stays valid as long as this lives.
    public init(_ signature: ForeignSignature, at address: UnsafeMutableRawPointer) throws(ForeignError) {
        self.entry = UInt(bitPattern: address)
        self.interface = try ForeignInterface(signature)
        self.signature = signature
        self.library = nil
    }

    /// Opens the library, reads the signature, and finds the function: `ForeignFunction("f64 cos(f64)", library: "libm.so.6")`.
    public convenience init(_ signature: String, library: String) throws(ForeignError) {
        let signature = try ForeignSignature(signature)
        try self.init(signature, in: try ForeignLibrary.open(library))
    }

    /// Calls the function. Arguments must be of the declared types exactly; nothing is converted.
    /// Ownership: strings, buffers and callbacks among the arguments live until the call returns.
    /// Errors: kinds `argumentCount`, `argumentType`, `value`, before the function is called.
    public func call(_ arguments: [ForeignValue] = []) throws(ForeignError) -> ForeignValue {
        try check(count: arguments.count)
        var call = prepare()
        for (index, argument) in arguments.enumerated() { try call.set(argument, at: index) }
        return call.run()
    }

    /// Reads arguments as a command line writes them (see `ForeignValue.parse`), each as its parameter's type.
    /// Errors: kind `argumentCount`, or `value` naming the argument.
    public func parse(_ texts: [String]) throws(ForeignError) -> [ForeignValue] {
        try check(count: texts.count)
        var values: [ForeignValue] = []
        for (index, (text, parameter)) in zip(texts, signature.parameters).enumerated() {
            do throws(ForeignError) {
                values.append(try ForeignValue.parse(text, as: parameter.type))
            } catch {
                let name = parameter.name.map { " (\($0))" } ?? ""
                throw ForeignError(
                    error.kind, library: library?.name, function: signature.name,
                    "argument \(index + 1)\(name) of '\(signature)': \(error.description)")
            }
        }
        return values
    }

    private func check(count: Int) throws(ForeignError) {
        let expected = signature.parameters.count
        guard count != expected else { return }
        throw ForeignError(
            .argumentCount, library: library?.name, function: signature.name,
            "'\(signature)' takes \(expected) argument\(expected == 1 ? "" : "s") and was given \(count)")
    }

    /// A call whose argument storage is allocated once and reused: for a function called per token.
    public func prepare() -> sending ForeignCall { ForeignCall(self) }

    /// Gives `body` a prepared call for as long as it runs.
    public func withPrepared<R, E: Error>(_ body: (inout ForeignCall) throws(E) -> R) throws(E) -> R {
        var call = prepare()
        return try body(&call)
    }

    /// The function's address.
    var address: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: entry) }
}
