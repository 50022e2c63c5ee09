// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The few things the model cache does with folders.
enum Folder {
    /// Makes the folder and those above it.
    static func create(_ path: String) throws(ModelError) {
        var partial = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            partial += "/" + part
            if mkdir(partial, 0o755) != 0, errno != EEXIST, errno != EISDIR {
                throw ModelError(
                    .io, path, "cannot make the folder \(partial): \(errorText(errno))",
                    remedy: "set BATON_MODELS to a folder you may write")
            }
        }
        guard followed(path).map({ $0.st_mode & S_IFMT == S_IFDIR }) ?? false else {
            throw ModelError(.io, path, "is not a folder", remedy: "set BATON_MODELS to a folder you may write")
        }
    }

    /// Names in the folder, sorted, without `.` and `..`; none when it cannot be read.
    static func names(in path: String) -> [String] {
        guard let folder = opendir(path), let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = String(cString: (UnsafeRawPointer(entry) + nameOffset).assumingMemoryBound(to: CChar.self))
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes the file or the folder with all that is in it; links are removed, not followed.
    static func remove(_ path: String) {
        if isRealFolder(path) { for name in names(in: path) { remove(path + "/" + name) } }
        _ = Glibc.remove(path)
    }

    /// Bytes of all files in the folder and below.
    static func byteCount(_ path: String) -> Int {
        if isRealFolder(path) { return names(in: path).reduce(0) { $0 + byteCount(path + "/" + $1) } }
        return status(path).map { Int($0.st_size) } ?? 0
    }

    static func isFile(_ path: String) -> Bool { followed(path).map { $0.st_mode & S_IFMT == S_IFREG } ?? false }

    /// False for a link to a folder.
    private static func isRealFolder(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

    private static func status(_ path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    static func followed(_ path: String) -> stat? {
        var status = stat()
        return stat(path, &status) == 0 ? status : nil
    }
}
