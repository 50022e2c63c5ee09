import Glibc

/// Who else could put another file in a driver's place: files and folders that anyone may write to.
///
/// Folders that this program itself lies in are not asked about: whoever may write there can replace the program as well.
enum PathTrust {
    /// What is wrong with the path, one sentence; nil when only its owners can change what it names.
    static func objection(to path: String, exempt: Set<String> = ownFolders) -> String? {
        var seen: Set<String> = []
        for whole in [path, real(path)].compactMap({ $0 }) {
            var parts = whole.split(separator: "/").map(String.init)
            var isFile = true
            while true {
                let each = "/" + parts.joined(separator: "/")
                if seen.insert(each).inserted, !(isFile ? exempt.contains(folder(each)) && ownIsOpen : exempt.contains(each)),
                    let words = objection(each, isFile: isFile) { return words }
                isFile = false
                guard !parts.isEmpty else { break }
                parts.removeLast()
            }
        }
        return nil
    }

    private static func objection(_ path: String, isFile: Bool) -> String? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IWOTH != 0 else { return nil }
        if isFile { return "anyone may write to it (mode \(mode(status))); chmod o-w \(path)" }
        guard status.st_mode & S_ISVTX == 0 else { return nil }
        return "anyone may write to its folder \(path) (mode \(mode(status))); chmod o-w \(path)"
    }

    private static func mode(_ status: stat) -> String { "0" + String(status.st_mode & 0o7777, radix: 8) }

    private static func real(_ path: String) -> String? {
        guard let text = realpath(path, nil) else { return nil }
        defer { free(text) }
        return String(cString: text)
    }

    private static func folder(_ path: String) -> String {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "/"
    }

    /// The program's file.
    private static let own = real("/proc/self/exe")

    /// Every folder above `own`.
    static let ownFolders: Set<String> = {
        guard let own else { return [] }
        var folders: Set<String> = ["/"]
        var path = folder(own)
        while path != "/" {
            folders.insert(path)
            path = folder(path)
        }
        return folders
    }()

    private static let ownIsOpen: Bool = {
        var status = stat()
        return own.map { stat($0, &status) == 0 && status.st_mode & S_IWOTH != 0 } ?? false
    }()
}
