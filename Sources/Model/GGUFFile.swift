// SPDX-License-Identifier: Apache-2.0

/// A GGUF file (versions 2 and 3, little-endian), mapped read-only and proven sound when opened: every count, length, type, shape and
/// offset has been checked, so whatever this type hands out lies inside the file.
///
/// Opening walks the metadata once and keeps positions; big arrays are decoded only when asked for. Tensor bytes are never touched, and
/// the format has no checksum of them: `ModelStore` checks whole files against a known sha256. Any thread may use one object.
/// Source: the GGUF specification in the ggml project, `docs/gguf.md`.
public final class GGUFFile: Sendable {
    public let path: String
    public let version: UInt32
    /// In the order of the file.
    public let tensors: [TensorInfo]
    /// Metadata keys, in the order of the file.
    public let keys: [String]
    let values: [String: GGUFValue]
    private let mapping: MappedBytes
    private let indexByName: [String: Int]

    /// Maps and checks the file at `path`.
    public convenience init(path: String) throws(ModelError) {
        try self.init(MappedBytes(path: path), path: path)
    }

    /// Checks a copy of `bytes`; `name` stands for the path in errors.
    public convenience init(bytes: [UInt8], name: String) throws(ModelError) {
        try self.init(MappedBytes(copying: bytes), path: name)
    }

    private init(_ mapping: MappedBytes, path: String) throws(ModelError) {
        var cursor = GGUFCursor(mapping.bytes, file: path)
        let header = try GGUFHeader(&cursor)
        let metadata = try GGUFMetadata(&cursor, count: header.keyCount)
        let alignment = try metadata.alignment(of: mapping.bytes, file: path)
        let directory = try GGUFDirectory(&cursor, count: header.tensorCount, alignment: alignment)
        self.path = path
        self.mapping = mapping
        version = header.version
        keys = metadata.keys
        values = metadata.values
        tensors = directory.tensors
        indexByName = directory.indexByName
    }

    /// Bytes of the whole file.
    public var byteCount: Int { mapping.bytes.count }

    /// The tensor of that name, if the file has one.
    public func tensor(_ name: String) -> TensorInfo? { indexByName[name].map { tensors[$0] } }

    /// The whole file. The memory is read-only and valid for as long as this object lives, which the caller must see to: it is for
    /// importing the weights into a device without a copy. `TensorInfo.offset` counts from its start, which is page-aligned.
    public var unsafeBytes: UnsafeRawBufferPointer { mapping.bytes }

    /// Lets go of what was read of the file in this process's memory; it is read from the file again when it is asked for. Any thread may call it.
    public func forget() { mapping.forget() }

    /// The file's descriptor, open for reading as long as this object lives, for a device that maps the weights itself; nil for a copy of bytes.
    public var descriptor: Int32? { mapping.descriptor }

    /// Calls `body` with the bytes of `tensor`, which must come from this file. They may not be used after `body` returns.
    public func withBytes<Result, Failure: Error>(
        of tensor: TensorInfo, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let range = (tensor.offset..<tensor.offset + tensor.byteCount).clamped(to: 0..<byteCount)
        defer { withExtendedLifetime(self) {} }
        return try body(UnsafeRawBufferPointer(rebasing: mapping.bytes[range]))
    }
}
