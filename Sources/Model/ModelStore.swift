// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The folder of models on this machine, one `<name>.gguf` (or `<name>.shape.json`) each.
public struct ModelStore: Sendable, Hashable {
    public struct Entry: Sendable, Hashable, Codable {
        public var name: String
        public var path: String
        public var bytes: Int
    }

    public let folder: String

    public init(folder: String) { self.folder = folder }

    /// The folder of the environment: `BATON_MODELS`, else `$XDG_CACHE_HOME/baton/models`, else `$HOME/.cache/baton/models`. As the XDG
    /// base directory specification asks, a relative XDG_CACHE_HOME is passed over. Errors: none of the three is set.
    public static func standard() throws(ModelError) -> ModelStore {
        try standard { getenv($0).map { String(cString: $0) } }
    }

    static func standard(environment: (String) -> String?) throws(ModelError) -> ModelStore {
        func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        if let folder = value("BATON_MODELS") { return ModelStore(folder: folder) }
        if let cache = value("XDG_CACHE_HOME"), cache.hasPrefix("/") { return ModelStore(folder: cache + "/baton/models") }
        if let home = value("HOME") { return ModelStore(folder: home + "/.cache/baton/models") }
        throw ModelError(.io, "model cache", "none of BATON_MODELS, XDG_CACHE_HOME and HOME is set", remedy: "set BATON_MODELS to a folder")
    }

    /// The models there, by name. None when the folder does not exist.
    public func list() -> [Entry] {
        Folder.names(in: folder).compactMap { file in
            let path = folder + "/" + file
            guard Self.isModel(file), !file.hasPrefix("."), let status = Folder.followed(path), Folder.isFile(path) else { return nil }
            return Entry(name: Self.name(ofFile: file), path: path, bytes: Int(status.st_size))
        }
    }

    /// The file of a model: what contains a slash or ends in `.gguf` or `.shape.json` is a path, all else a name in the folder.
    /// Errors: `.missing`, with what is there and what to run.
    public func resolve(_ model: String) throws(ModelError) -> String {
        if model.contains("/") || Self.isModel(model) { return try existing(model) }
        let candidates = Self.suffixes.map { "\(folder)/\(model)\($0)" }
        if !model.isEmpty, let path = candidates.first(where: Folder.isFile) { return path }
        throw missing(model)
    }

    /// Where a pulled model lies.
    func path(of name: String) -> String { "\(folder)/\(name).gguf" }

    static let suffixes = [".gguf", ModelShape.suffix]

    static func isModel(_ file: String) -> Bool { suffixes.contains { file.hasSuffix($0) } }

    /// The last part of a path, without its suffix.
    static func name(ofFile path: String) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        return suffixes.first { file.hasSuffix($0) }.map { String(file.dropLast($0.count)) } ?? file
    }

    private func existing(_ path: String) throws(ModelError) -> String {
        if Folder.isFile(path) { return path }
        if Folder.followed(path) != nil { throw ModelError(.missing, path, "is not a regular file", remedy: "name a .gguf file") }
        throw ModelError(.missing, path, "there is no such file", remedy: "check the path, or name a model: \(names)")
    }

    private func missing(_ model: String) -> ModelError {
        let here = list().map(\.name), pullable = KnownModel.all.map(\.name)
        let problem = "no model \"\(model)\" in \(folder), which has \(here.isEmpty ? "none" : here.prefix(10).joined(separator: ", "))"
        let near = Spelling.nearest(to: model, in: here + pullable)
        if let near, here.contains(near) { return ModelError(.missing, "model", problem, remedy: "did you mean \(near)?") }
        let known = pullable.first { $0 == near } ?? pullable.first ?? ""
        return ModelError(.missing, "model", problem, remedy: "run `baton model pull \(known)`")
    }

    private var names: String { Set(list().map(\.name) + KnownModel.all.map(\.name)).sorted().prefix(10).joined(separator: ", ") }
}
