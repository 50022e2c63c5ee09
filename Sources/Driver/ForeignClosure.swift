import CFFI
import Synchronization

/// A C function pointer that calls Swift.
/// Ownership: the pointer is valid while this lives; C code that keeps the pointer needs it kept alive.
/// Threads: C may call it from any thread, several at once; so may `body` be called.
public final class ForeignClosure: Sendable {
    public let signature: ForeignSignature
    private let interface: ForeignInterface
    private let state: State
    /// The closure of the C side, and its function pointer, as addresses.
    private let closure: UInt
    private nonisolated(unsafe) let function: UnsafeMutableRawPointer

    /// What the C side leads back to. Kept by the closure, which C does not own.
    private final class State: Sendable {
        let signature: ForeignSignature
        let body: @Sendable ([ForeignValue]) throws -> ForeignValue
        let failure = Mutex<ForeignError?>(nil)

        init(_ signature: ForeignSignature, _ body: @escaping @Sendable ([ForeignValue]) throws -> ForeignValue) {
            self.signature = signature
            self.body = body
        }

        func answer(_ arguments: [ForeignValue]) throws(ForeignError) -> ForeignValue {
            let value: ForeignValue
            do {
                value = try body(arguments)
            } catch let error as ForeignError {
                throw error
            } catch {
                throw ForeignError(.callback, function: signature.name, "callback '\(signature)' failed: \(error)")
            }
            if case .void = value, signature.result == .void { return value }
            // Only numbers and plain addresses: what a string, buffer or closure owns would be gone once C has it.
            if case .pointer = value, signature.result.isAddress { return value }
            guard value.isScalar(of: signature.result) else {
                throw ForeignError(
                    .argumentType, function: signature.name,
                    "callback '\(signature)' returns \(signature.result) and gave \(value.kind)")
            }
            return value
        }
    }

    /// Makes a function pointer of this signature. Pointer arguments belong to the caller of the function and are good until `body` returns.
    /// `body` returns a value of the declared result type exactly; a `str` result is refused, for nobody would own its bytes.
    /// An error in `body`, or a result of another type, gives zero to C and is kept for `takeFailure`.
    /// Errors: kind `interface` when the machine gives no executable memory or the signature is refused.
    public init(_ signature: ForeignSignature, _ body: @escaping @Sendable ([ForeignValue]) throws -> ForeignValue) throws(ForeignError) {
        guard signature.result != .string else {
            throw ForeignError(.interface, function: signature.name, "a callback '\(signature)' cannot return str; return ptr to memory that stays")
        }
        let interface = try ForeignInterface(signature)
        let state = State(signature, body)
        guard let closure = cffi_closure_create(interface.prepared, Self.enter, Unmanaged.passUnretained(state).toOpaque()) else {
            throw ForeignError(.interface, function: signature.name, "no executable memory for a callback '\(signature)'; check the system's limits")
        }
        self.signature = signature
        self.interface = interface
        self.state = state
        self.closure = UInt(bitPattern: closure)
        self.function = cffi_closure_function(closure)
    }

    /// Makes a function pointer of the signature in `text`: `ForeignClosure("i32 (ptr, ptr)") { ... }`.
    public convenience init(_ text: String, _ body: @escaping @Sendable ([ForeignValue]) throws -> ForeignValue) throws(ForeignError) {
        try self.init(try ForeignSignature(text), body)
    }

    deinit { cffi_closure_free(OpaquePointer(bitPattern: closure)) }

    /// The function pointer.
    public var pointer: UnsafeMutableRawPointer { function }

    /// The first failure of the body since it was last asked for.
    public func takeFailure() -> ForeignError? {
        state.failure.withLock { failure in
            defer { failure = nil }
            return failure
        }
    }

    private static let enter: cffi_handler = { user, result, arguments in
        guard let user else { return }
        let state = Unmanaged<State>.fromOpaque(user).takeUnretainedValue()
        let signature = state.signature
        let values = signature.parameters.enumerated().map { index, parameter in
            arguments?[index].map { ForeignValue(parameter.type, at: $0) } ?? .void
        }
        do throws(ForeignError) {
            try state.answer(values).store(at: result)
        } catch {
            state.failure.withLock { $0 = $0 ?? error }
        }
    }
}
