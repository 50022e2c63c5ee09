import Glibc

/// A shared library opened to call functions by name. Bound at once (RTLD_NOW), its names kept to itself (RTLD_LOCAL), and resident until
/// the process ends: a library may have threads or callbacks of its own, so it is never closed.
/// Threads: any.
public final class ForeignLibrary: Sendable {
    /// The library as it was asked for; "the process" for the process itself.
    public let name: String
    /// dlopen's handle, as an address.
    private let handle: UInt

    private init(name: String, handle: UInt) {
        self.name = name
        self.handle = handle
    }

    /// Opens a library: an absolute path, or a bare file name such as `libm.so.6` that the system's loader searches for by its own rules.
    /// Never the current directory: a relative path is refused; `resolve` makes it absolute against a folder of the caller's choice.
    /// Blocking: while the loader reads the file and runs its initialisers. Errors: kind `library`, in the loader's own words.
    public static func open(_ name: String) throws(ForeignError) -> ForeignLibrary {
        try check(name)
        guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            let words = dlerror().map { String(cString: $0) } ?? "the loader gave no reason"
            throw ForeignError(.library, library: name, "library \(ForeignText.quoted(name, limit: 512)) cannot be opened: \(words)")
        }
        return ForeignLibrary(name: name, handle: UInt(bitPattern: handle))
    }

    /// The process itself: the functions of the C library and of everything else that is loaded for all to see.
    public static func process() throws(ForeignError) -> ForeignLibrary {
        guard let handle = dlopen(nil, RTLD_NOW | RTLD_LOCAL) else {
            throw ForeignError(.library, library: "the process", "the process cannot be opened as a library")
        }
        return ForeignLibrary(name: "the process", handle: UInt(bitPattern: handle))
    }

    /// A name as `open` takes it: a relative path is joined to `folder` (absolute), a bare file name and an absolute path stay.
    public static func resolve(_ name: String, against folder: String) -> String {
        guard name.contains("/"), !name.hasPrefix("/") else { return name }
        return folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
    }

    /// The address of a function. Errors: kind `function`, naming the library and the function.
    func address(of function: String) throws(ForeignError) -> UnsafeMutableRawPointer {
        let found = dlsym(UnsafeMutableRawPointer(bitPattern: handle), function)
        guard let found, !function.isEmpty else {
            throw ForeignError(
                .function, library: name, function: function,
                "library \(ForeignText.quoted(name, limit: 512)) has no function \(ForeignText.quoted(function)); see its names with 'nm -D'")
        }
        return found
    }

    private static func check(_ name: String) throws(ForeignError) {
        guard !name.isEmpty, ForeignText.isWhole(name) else {
            throw ForeignError(.library, library: name, "library \(ForeignText.quoted(name)) is not a file name; give a path or a name like libm.so.6")
        }
        guard name.contains("/") else { return }
        guard name.hasPrefix("/") else {
            throw ForeignError(
                .library, library: name,
                "library \(ForeignText.quoted(name, limit: 512)) is a relative path, and the current directory is not searched; give an absolute path")
        }
        // The loader would wait for ever on a pipe.
        var status = stat()
        guard stat(name, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
        throw ForeignError(.library, library: name, "library \(ForeignText.quoted(name, limit: 512)) is not a regular file; give a shared library's path")
    }
}
