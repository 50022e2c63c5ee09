// SPDX-License-Identifier: Apache-2.0

import Glibc

@testable import Model

/// A fresh folder, removed with all it holds when the last reference goes.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/baton-model-tests-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw ModelError(.io, "/tmp", "cannot make a folder") }
        path = String(cString: made)
    }

    deinit { Folder.remove(path) }

    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws -> String {
        let path = path + "/" + name
        guard let file = fopen(path, "w") else { throw ModelError(.io, path, "cannot write") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
        chmod(path, mode)
        return path
    }

    func pipe(_ name: String) throws -> String {
        let path = path + "/" + name
        guard mkfifo(path, 0o600) == 0 else { throw ModelError(.io, path, "cannot make a pipe") }
        return path
    }
}
