import CFFI

/// A signature made ready for calls: libffi's call interface, prepared once and used by every call and closure.
/// Immutable once made, so any thread may use it.
final class ForeignInterface: @unchecked Sendable {
    let signature: ForeignSignature
    /// How each parameter is passed.
    let codes: [cffi_type]
    let resultCode: cffi_type
    let prepared: OpaquePointer

    /// Errors: kind `interface` when libffi refuses the signature.
    init(_ signature: ForeignSignature) throws(ForeignError) {
        let codes = signature.parameters.map(\.type.code)
        guard let prepared = cffi_interface_create(signature.result.code, codes, UInt32(codes.count)) else {
            throw ForeignError(.interface, function: signature.name, "'\(signature)' cannot be called on this machine: libffi refuses it")
        }
        self.signature = signature
        self.codes = codes
        self.resultCode = signature.result.code
        self.prepared = prepared
    }

    deinit { cffi_interface_free(prepared) }
}
