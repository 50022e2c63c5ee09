import CFFI
import Glibc

/// A call of one function with storage for its arguments, made once and run as often as needed. Arguments keep their values between runs.
/// Running allocates nothing; setting a number or an address allocates nothing.
/// Threads: one at a time, which the compiler sees to.
public struct ForeignCall: ~Copyable {
    public let function: ForeignFunction
    /// How many arguments it takes.
    public let count: Int
    /// One slot per argument, then one for the result.
    private let slots: UnsafeMutablePointer<UInt64>
    /// The address of every argument's slot, as libffi wants them.
    private let places: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    /// What an argument owns or keeps alive until it is set again.
    private var held: [Int: Held] = [:]

    private enum Held {
        case text(UnsafeMutablePointer<CChar>)
        case object(AnyObject)
    }

    init(_ function: ForeignFunction) {
        self.function = function
        count = function.interface.codes.count
        slots = .allocate(capacity: count + 1)
        slots.initialize(repeating: 0, count: count + 1)
        places = .allocate(capacity: count + 1)
        places.initialize(repeating: nil, count: count + 1)
        for index in 0..<count { places[index] = UnsafeMutableRawPointer(slots + index) }
    }

    deinit {
        for case .text(let text) in held.values { free(text) }
        slots.deallocate()
        places.deallocate()
    }

    /// Sets an argument to a value of any kind. Strings are copied, buffers and callbacks kept alive, until it is set again.
    /// Errors: kind `argumentType` when the value is not of the declared type, `value` for a string with a NUL inside.
    public mutating func set(_ value: ForeignValue, at index: Int) throws(ForeignError) {
        let parameter = try parameter(index)
        guard value.fits(parameter.type) else { throw mismatch(index, found: value.kind) }
        let held = try hold(value, at: index)
        if case .text(let text)? = self.held[index] { free(text) }
        self.held[index] = held
        if case .text(let text)? = held {
            ForeignValue.pointer(UnsafeMutableRawPointer(text)).store(at: slots + index)
        } else {
            value.store(at: slots + index)
        }
    }

    /// Sets an argument to a number of exactly the declared type. Errors: kind `argumentType`.
    public mutating func set<T: ForeignScalar>(_ value: T, at index: Int) throws(ForeignError) {
        guard index >= 0, index < count else { throw outside(index) }
        guard function.interface.codes[index] == T.foreignType.code else { throw mismatch(index, found: "\(T.foreignType)") }
        UnsafeMutableRawPointer(slots + index).storeBytes(of: value, as: T.self)
    }

    /// Sets an argument of a pointer type to an address, which stays valid until the last run that uses it. Errors: kind `argumentType`.
    public mutating func set(address: UnsafeRawPointer?, at index: Int) throws(ForeignError) {
        guard index >= 0, index < count else { throw outside(index) }
        guard function.interface.codes[index] == cffi_type(CFFI_POINTER) else { throw mismatch(index, found: "a pointer") }
        if !held.isEmpty, case .text(let text)? = held.removeValue(forKey: index) { free(text) }
        UnsafeMutableRawPointer(slots + index).storeBytes(of: address, as: UnsafeRawPointer?.self)
    }

    /// Calls the function with the arguments as they are set; an argument never set is zero or null.
    @discardableResult
    public mutating func run() -> ForeignValue {
        invoke()
        return ForeignValue(function.signature.result, at: slots + count)
    }

    /// Calls the function for a number. Errors: kind `argumentType`, before the call, when the function returns another type.
    public mutating func run<T: ForeignScalar>(as type: T.Type) throws(ForeignError) -> T {
        guard function.interface.resultCode == T.foreignType.code else {
            throw ForeignError(
                .argumentType, library: function.library?.name, function: function.signature.name,
                "'\(function.signature)' returns \(function.signature.result), not \(T.foreignType)")
        }
        invoke()
        return UnsafeRawPointer(slots + count).load(as: T.self)
    }

    private mutating func invoke() {
        guard let address = function.address else { return }
        cffi_call(function.interface.prepared, address, UnsafePointer(places), slots + count)
        extendLifetime(held)
    }

    /// What must outlive the argument: the copy of a string, or the object that owns an address.
    private func hold(_ value: ForeignValue, at index: Int) throws(ForeignError) -> Held? {
        switch value {
        case .string(let text):
            guard ForeignText.isWhole(text), let copy = ForeignText.copy(text) else {
                throw ForeignError(
                    .value, library: function.library?.name, function: function.signature.name,
                    "argument \(index + 1) of '\(function.signature)' is a string with a NUL inside, which ends a C string; remove it")
            }
            return .text(copy)
        case .buffer(let buffer): return .object(buffer)
        case .callback(let closure): return .object(closure)
        default: return nil
        }
    }

    private func parameter(_ index: Int) throws(ForeignError) -> ForeignSignature.Parameter {
        guard index >= 0, index < count else { throw outside(index) }
        return function.signature.parameters[index]
    }

    private func outside(_ index: Int) -> ForeignError {
        ForeignError(
            .argumentCount, library: function.library?.name, function: function.signature.name,
            "'\(function.signature)' has no argument \(index + 1); it takes \(count)")
    }

    private func mismatch(_ index: Int, found: String) -> ForeignError {
        let parameter = function.signature.parameters[index]
        let name = parameter.name.map { " (\($0))" } ?? ""
        return ForeignError(
            .argumentType, library: function.library?.name, function: function.signature.name,
            "argument \(index + 1)\(name) of '\(function.signature)' is \(parameter.type) and was given \(found)")
    }
}
