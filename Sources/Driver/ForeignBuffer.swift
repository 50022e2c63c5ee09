/// An array of numbers in memory of its own, for a parameter of a pointer type. The function may write to it; the array is read back
/// with `values`.
/// Threads: one at a time, and none while a call that was given it runs.
public final class ForeignBuffer {
    /// The type of an element: a number or bool.
    public let element: ForeignType
    public let count: Int
    let address: UnsafeMutableRawPointer

    /// `count` zeros. `element` is a number or bool. Errors: kind `value` for another type or a size past what memory addresses.
    public init(_ element: ForeignType, count: Int) throws(ForeignError) {
        guard element != .void, !element.isAddress else {
            throw ForeignError(.value, "a buffer of \(element) cannot be made; its elements are numbers or bool")
        }
        let (bytes, overflow) = element.size.multipliedReportingOverflow(by: count)
        guard count >= 0, !overflow, bytes <= 1 << 40 else {
            throw ForeignError(.value, "a buffer of \(count) x \(element) is too large")
        }
        self.element = element
        self.count = count
        self.address = .allocate(byteCount: max(bytes, 1), alignment: 64)
        address.initializeMemory(as: UInt8.self, repeating: 0, count: max(bytes, 1))
    }

    /// A copy of `values`, all of type `element`.
    public convenience init(_ element: ForeignType, _ values: [ForeignValue]) throws(ForeignError) {
        try self.init(element, count: values.count)
        for (index, value) in values.enumerated() {
            guard value.isScalar(of: element) else {
                throw ForeignError(.argumentType, "element \(index) of a buffer of \(element) is \(value.kind)")
            }
            value.store(at: address + index * element.size)
        }
    }

    /// A copy of some floats.
    public convenience init(_ values: [Float]) throws(ForeignError) {
        try self.init(.f32, values.map { .f32($0) })
    }

    deinit { address.deallocate() }

    /// The elements as they are now.
    public var values: [ForeignValue] {
        (0..<count).compactMap { ForeignValue(scalar: element, at: UnsafeRawPointer(address) + $0 * element.size) }
    }
}

extension ForeignBuffer: CustomStringConvertible {
    public var description: String { "[\(values.map(\.description).joined(separator: ", "))]" }
}
