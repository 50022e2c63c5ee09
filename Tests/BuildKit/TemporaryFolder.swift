import Glibc

/// A new folder that goes, with the files in it, when this does. Hold it as long as its files are needed.
public final class TemporaryFolder: Sendable {
    public let path: String

    public init() throws(ToolError) {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/baton-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ToolError("cannot make a folder in \(base)") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The path of a file in it.
    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file in it and gives its path.
    @discardableResult
    public func write(_ text: String, to name: String) throws(ToolError) -> String {
        guard let out = fopen(file(name), "w") else { throw ToolError("cannot write \(file(name))") }
        defer { fclose(out) }
        let bytes = Array(text.utf8)
        guard fwrite(bytes, 1, bytes.count, out) == bytes.count else { throw ToolError("cannot write \(file(name))") }
        return file(name)
    }

    deinit {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != ".", name != ".." { unlink(file(name)) }
            }
            closedir(folder)
        }
        rmdir(path)
    }
}
