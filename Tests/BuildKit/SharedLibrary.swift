import Glibc

/// Shared libraries that tests build from C, the way a driver's author does: plain `cc`, the contract's headers, nothing of the package.
public enum SharedLibrary {
    /// Whether the null driver's folder is there; any driver's may be removed.
    public static var hasNullDriver: Bool { access("\(root)/Plugins/null/driver.c", R_OK) == 0 }

    /// The repository's root.
    public static let root: String = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

    /// `include/`.
    public static var headers: String { "\(root)/include" }

    /// Builds one C file (its path from the root) into `lib<name>.so` in `folder`, and gives its path.
    public static func build(_ source: String, name: String? = nil, in folder: TemporaryFolder, flags: [String] = []) throws(ToolError) -> String {
        guard let cc = Tool.cc else { throw ToolError("no C compiler on PATH") }
        let stem = source.split(separator: "/").last.map { String($0.split(separator: ".")[0]) } ?? source
        let library = folder.file("lib\(name ?? stem).so")
        try cc.check(
            ["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I", headers, "-o", library] + flags + ["\(root)/\(source)"])
        return library
    }

    /// Builds the driver `Tests/Fixtures/drivers/<name>.c` into `libbaton-<name>.so` in `folder`.
    public static func driver(_ name: String, in folder: TemporaryFolder) throws(ToolError) -> String {
        try build("Tests/Fixtures/drivers/\(name).c", name: "baton-\(name)", in: folder)
    }

    /// The names a library exports for others to use.
    public static func exports(of library: String) throws(ToolError) -> [String] {
        guard let nm = Tool.nm else { throw ToolError("no nm on PATH") }
        return try nm.check(["-D", "--defined-only", library]).lines.compactMap { $0.split(separator: " ").last.map(String.init) }
    }
}
