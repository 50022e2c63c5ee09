import ArgumentParser
import CTemplates
import Driver
import FoundationEssentials

/// Writes the folder of a new driver.
struct DriverNew: ParsableCommand {
    enum Language: String, CaseIterable, ExpressibleByArgument {
        case c, cpp, rust, swift
    }

    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Writes the folder of a new driver that builds by itself.",
        discussion: """
            The folder holds a whole small device that runs a model on this machine's processor, its tests, the contract's headers, and a manifest that
            names it. Make it yours step by step; `make test` says which rule is broken.

            EXAMPLES
              baton driver new acme --lang c
              cd acme && make && baton run manifest.yaml --prompt "What is gravity?"

            EXIT CODES
              0 done    1 a file could not be written    2 the folder exists    64 the command line is wrong
            """)

    @Argument(help: "The driver's name: lower-case letters, digits, '-' and '_', a letter first.") var name: String
    @Option(help: "c, cpp, rust or swift.") var lang = Language.c
    @Option(help: "The folder to write, in place of one called after the driver.", completion: .directory) var out: String?

    func validate() throws {
        let isGood = name.utf8.count <= 31 && name.utf8.allSatisfy { Self.allowed.contains($0) } && (name.utf8.first.map { (97...122).contains($0) } ?? false)
        guard isGood else {
            throw ValidationError("the name '\(name)' is not one for a library; use lower-case letters, digits, '-' and '_', a letter first, 31 at most")
        }
    }

    private static let allowed = Set("abcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    func run() throws {
        let folder = Files.absolute(out ?? name, against: Files.currentDirectory)
        guard !FileManager.default.fileExists(atPath: folder) else {
            throw Failure(code: 2, "\(out ?? name): is there already; take another name or folder, or move it away")
        }
        let files = Template.files(lang.rawValue)
        for file in files { try Self.write(file.named(name), in: folder) }
        Terminal.line(
            """
            \(out ?? name): \(files.count) files of a driver
              cd \(out ?? name) && make && baton run manifest.yaml --prompt "What is gravity? Answer in one sentence."
              make test    # after each change; README.md says what to change
            """)
    }

    private static func write(_ file: Template, in folder: String) throws {
        let path = folder + "/" + file.path
        let parent = Files.folder(of: path)
        do { try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true) } catch {
            throw Failure(code: 1, "\(parent): cannot be made; check the folder above it and its permissions")
        }
        try Files.write(file.text, to: path)
    }
}

/// A file of a new driver's folder.
struct Template {
    var path: String
    var text: String

    /// Those of a language, and those that all share.
    static func files(_ language: String) -> [Template] {
        (0..<ctemplates_count()).compactMap { index in
            let file = ctemplates_at(index).pointee
            let wanted = String(cString: file.language)
            guard wanted.isEmpty || wanted == language else { return nil }
            return Template(path: String(cString: file.path), text: String(decoding: UnsafeBufferPointer(start: file.bytes, count: Int(file.length)), as: UTF8.self))
        }
    }

    /// With the driver's name and the newest contract where the template leaves room for it.
    func named(_ name: String) -> Template {
        Template(path: path.replacing("{{name}}", with: name), text: text.replacing("{{name}}", with: name).replacing("{{abi}}", with: "\(ABIRange.host.maximum)"))
    }
}
