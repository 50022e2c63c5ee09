import Foundation
import TestKit

/// The built command, run as a person would run it.
struct Command {
    var status: Int32
    var output: String
    var error: String

    static var path: String { TestDrivers.folder + "/baton" }
    static let isThere = FileManager.default.isExecutableFile(atPath: path)
    static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    /// Runs `baton` with `arguments` in `folder`; nothing is read from standard input.
    @discardableResult
    static func run(_ arguments: String..., in folder: String, environment: [String: String] = [:]) throws -> Command {
        try run(arguments, in: folder, environment: environment)
    }

    @discardableResult
    static func run(_ arguments: [String], in folder: String, environment: [String: String] = [:]) throws -> Command {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let files = (0..<2).map { _ in NSTemporaryDirectory() + UUID().uuidString }
        for file in files { _ = FileManager.default.createFile(atPath: file, contents: nil) }
        defer { for file in files { try? FileManager.default.removeItem(atPath: file) } }
        process.standardOutput = FileHandle(forWritingAtPath: files[0])
        process.standardError = FileHandle(forWritingAtPath: files[1])
        try process.run()
        process.waitUntilExit()
        let texts = files.map { String(decoding: FileManager.default.contents(atPath: $0) ?? Data(), as: UTF8.self) }
        return Command(status: process.terminationStatus, output: texts[0], error: texts[1])
    }

    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any] ?? [:] }
    /// Lines on standard error.
    var errorLines: Int { error.split(separator: "\n").count }
}

/// A folder that goes when it does.
final class Scratch {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "baton-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, Data(text.utf8)) }

    @discardableResult
    func write(_ name: String, _ data: Data) throws -> String {
        try data.write(to: URL(fileURLWithPath: path + "/" + name))
        return name
    }
}
