import DriverKit

extension ProgramDescription.Tensor {
    /// The first dimension of a weight of two, 1 of a vector.
    var rows: Int { shape.count > 1 ? shape[0].count(tokens: 0, rows: 0) : 1 }
    var rank: Int { shape.count }
    /// What the first dimension of two counts.
    var rowsKind: ProgramDescription.Dimension { shape.count > 1 ? shape[0] : .fixed(1) }

    /// The bytes of a weight in host memory.
    func bytes() throws(DriverFailure) -> UnsafeRawPointer {
        guard let buffer = buffer as? HostBuffer else {
            throw DriverFailure(.invalidArgument, "weight '\(name)' has no buffer of this device; give one")
        }
        return UnsafeRawPointer(buffer.base + offset)
    }
}
