// SPDX-License-Identifier: Apache-2.0

/// The first 24 bytes: magic, version, tensor count, key count.
struct GGUFHeader {
    let version: UInt32
    let tensorCount: Int
    let keyCount: Int

    /// A key takes at least its length, one byte, a type and one byte of value; a tensor its length, one byte, rank, one dimension,
    /// type and offset.
    init(_ cursor: inout GGUFCursor) throws(ModelError) {
        try Self.checkMagic(cursor)
        _ = try cursor.take(4, for: "the magic")
        version = try cursor.integer(for: "the version")
        guard (2...3).contains(version) else { throw Self.wrongVersion(version, file: cursor.file) }
        tensorCount = try cursor.count(least: 33, for: "the tensor count")
        keyCount = try cursor.count(least: 14, for: "the metadata key count")
        guard tensorCount > 0 else {
            throw ModelError(.invalid, cursor.file, "holds no tensors", remedy: "name a complete model, not a vocabulary or one shard")
        }
    }

    private static func checkMagic(_ cursor: GGUFCursor) throws(ModelError) {
        let found = Array(cursor.bytes.prefix(4))
        guard found != Array("GGUF".utf8) else { return }
        if cursor.bytes.count < 4, "GGUF".utf8.starts(with: found) {
            throw ModelError(.truncated, cursor.file, "ends after \(found.count) bytes", remedy: "download it again")
        }
        let bytes = found.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
        let guess = disguises.first { cursor.bytes.starts(with: $0.prefix.utf8) }.map { ", which looks like \($0.name)" } ?? ""
        throw ModelError(
            .wrongFormat, cursor.file, "is not a GGUF file: it begins with bytes \(bytes)\(guess)", remedy: "name a .gguf file")
    }

    /// What is most often found under a model's name instead of a model.
    private static let disguises: [(prefix: String, name: String)] = [
        ("PK", "a zip archive or a Python wheel"), ("version https://git-lfs", "a Git LFS pointer, not the file itself"),
        ("<", "a web page"), ("{", "JSON"), ("tjgg", "a GGML file older than GGUF"), ("lmgg", "a GGML file older than GGUF"),
        ("FUGG", "a big-endian GGUF file"),
    ]

    private static func wrongVersion(_ version: UInt32, file: String) -> ModelError {
        if (1...3).contains(version.byteSwapped) {
            return ModelError(.unsupported, file, "is a big-endian GGUF file", remedy: "convert it to little-endian")
        }
        return ModelError(.unsupported, file, "is GGUF version \(version), and Baton reads 2 and 3", remedy: "convert the model again")
    }
}
