// SPDX-License-Identifier: Apache-2.0

/// The key-value section: which keys there are and where their values lie.
struct GGUFMetadata {
    private(set) var keys: [String] = []
    private(set) var values: [String: GGUFValue] = [:]

    init(_ cursor: inout GGUFCursor, count: Int) throws(ModelError) {
        for index in 0..<count {
            let key = try cursor.name(limit: 65_535, for: "metadata key \(index + 1) of \(count)")
            let type = try cursor.valueType(for: "key \"\(printable(key))\"")
            let value = try cursor.value(of: type, for: "the value of key \"\(printable(key))\"")
            guard values.updateValue(value, forKey: key) == nil else {
                throw ModelError(
                    .corrupt, cursor.file, "key \"\(printable(key))\" appears twice", remedy: "it is damaged, download it again")
            }
            keys.append(key)
        }
    }

    /// The multiple at which every tensor begins: `general.alignment`, 32 when absent.
    func alignment(of bytes: UnsafeRawBufferPointer, file: String) throws(ModelError) -> Int {
        guard let value = values["general.alignment"] else { return 32 }
        var found: UInt32 = 0
        if case .scalar(.uint32, let position) = value {
            var cursor = GGUFCursor(bytes, file: file, at: position)
            found = try cursor.integer(for: "key \"general.alignment\"")
        }
        guard found >= 8, found <= 1 << 20, found.nonzeroBitCount == 1 else {
            throw ModelError(
                .corrupt, file,
                "key \"general.alignment\" is \(value.kind), value \(found), where a uint32 power of two from 8 to 2^20 is allowed",
                remedy: "convert the model again")
        }
        return Int(found)
    }
}
