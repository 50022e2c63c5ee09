extension UnsafeMutableBufferPointer {
    /// A copy of `values` at a place of its own, until it is deallocated: what workers read without counting references to an array.
    static func lasting(_ values: [Element]) -> Self {
        let kept = Self.allocate(capacity: values.count)
        _ = kept.initialize(from: values)
        return kept
    }
}
