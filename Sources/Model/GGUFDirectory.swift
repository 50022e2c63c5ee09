// SPDX-License-Identifier: Apache-2.0

/// The list of tensors that follows the metadata, checked against the size of the file and against each other.
struct GGUFDirectory {
    private(set) var tensors: [TensorInfo] = []
    private(set) var indexByName: [String: Int] = [:]

    init(_ cursor: inout GGUFCursor, count: Int, alignment: Int) throws(ModelError) {
        var entries: [Entry] = []
        for index in 0..<count { entries.append(try Entry(&cursor, ordinal: "\(index + 1) of \(count)")) }
        let (end, overflow) = cursor.position.addingReportingOverflow(alignment - 1)
        guard !overflow else { throw ModelError(.corrupt, cursor.file, "its tensor list has no end") }
        let data = end / alignment * alignment
        for entry in entries {
            let tensor = try entry.placed(from: data, alignment: alignment, in: cursor)
            guard indexByName.updateValue(tensors.count, forKey: tensor.name) == nil else {
                throw entry.corrupt(cursor.file, "appears twice")
            }
            tensors.append(tensor)
        }
        try Self.checkApart(tensors, file: cursor.file)
    }

    /// Two tensors that share bytes mean that an offset is damaged.
    private static func checkApart(_ tensors: [TensorInfo], file: String) throws(ModelError) {
        let ordered = tensors.sorted { $0.offset < $1.offset }
        for (before, after) in zip(ordered, ordered.dropFirst()) where before.offset + before.byteCount > after.offset {
            throw ModelError(
                .corrupt, file, "tensors \"\(printable(before.name))\" and \"\(printable(after.name))\" overlap at offset \(after.offset)",
                remedy: "it is damaged, download it again")
        }
    }

    /// One line of the list as the file has it.
    private struct Entry {
        let name: String
        let dims: [UInt64]
        let type: UInt32
        let offset: UInt64

        init(_ cursor: inout GGUFCursor, ordinal: String) throws(ModelError) {
            let name = try cursor.name(limit: 64, for: "the name of tensor \(ordinal)")
            let rank = try cursor.integer(UInt32.self, for: "the rank of tensor \"\(printable(name))\"")
            guard (1...4).contains(rank) else {
                throw ModelError(
                    .corrupt, cursor.file, "tensor \"\(printable(name))\" has \(rank) dimensions, where 1 to 4 are allowed",
                    remedy: "it is damaged, download it again")
            }
            var dims: [UInt64] = []
            for _ in 0..<rank { dims.append(try cursor.integer(for: "a dimension of tensor \"\(printable(name))\"")) }
            self.name = name
            self.dims = dims
            type = try cursor.integer(for: "the type of tensor \"\(printable(name))\"")
            offset = try cursor.integer(for: "the offset of tensor \"\(printable(name))\"")
        }

        /// The tensor in a file whose tensor data begins at `data`.
        func placed(from data: Int, alignment: Int, in cursor: GGUFCursor) throws(ModelError) -> TensorInfo {
            guard let type = TensorType(rawValue: type) else {
                throw ModelError(
                    .unsupported, cursor.file, "tensor \"\(printable(name))\" is stored as \(TensorType.describe(self.type))",
                    remedy: "use a file stored as \(TensorType.readable)")
            }
            let (elements, bytes) = try size(as: type, file: cursor.file)
            guard offset % UInt64(alignment) == 0 else {
                throw corrupt(cursor.file, "has offset \(offset), which is not a multiple of the alignment \(alignment)")
            }
            let (start, overflow) = offset.addingReportingOverflow(UInt64(data))
            let (end, overflowAtEnd) = start.addingReportingOverflow(UInt64(bytes))
            guard !overflow, !overflowAtEnd, end <= UInt64(cursor.bytes.count) else {
                throw ModelError(
                    .truncated, cursor.file,
                    "tensor \"\(printable(name))\" takes \(bytes) bytes at offset \(offset) of the tensor data, which begins at \(data),"
                        + " but the file ends at \(cursor.bytes.count)",
                    remedy: "it is cut short or damaged, download it again")
            }
            return TensorInfo(name: name, dims: dims, type: type, offset: Int(start), byteCount: bytes, elementCount: elements)
        }

        private func size(as type: TensorType, file: String) throws(ModelError) -> (elements: Int, bytes: Int) {
            let elements = product(dims)
            let blocks = elements.map { $0 / UInt64(type.blockElements) }
            guard let elements, let blocks, let bytes = product([blocks, UInt64(type.blockBytes)]), bytes <= UInt64(Int.max),
                elements <= UInt64(Int.max)
            else { throw corrupt(file, "has shape \(dims), more elements than 63 bits count") }
            guard elements > 0 else { throw corrupt(file, "has shape \(dims), with a dimension of zero") }
            guard dims[0] % UInt64(type.blockElements) == 0 else {
                throw corrupt(file, "has rows of \(dims[0]) elements, which the blocks of \(type.name) (32) do not divide")
            }
            return (Int(elements), Int(bytes))
        }

        func corrupt(_ file: String, _ problem: String) -> ModelError {
            ModelError(.corrupt, file, "tensor \"\(printable(name))\" \(problem)", remedy: "it is damaged, download it again")
        }
    }
}

/// The product of `factors`, or nil when 64 bits cannot hold it.
private func product(_ factors: [UInt64]) -> UInt64? {
    var result: UInt64 = 1
    for factor in factors {
        let (next, overflow) = result.multipliedReportingOverflow(by: factor)
        if overflow { return nil }
        result = next
    }
    return result
}
