import BuildKit
import Foundation
import TestKit

/// A Python with boto3: the system's, or one with the package installed beside the build.
enum Boto {
    static let version = "1.43.11"
    /// Why tests that need it are skipped.
    static let absence: String = "boto3 is not installed and could not be: python3 -m pip install boto3"
    static let fixtures = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Fixtures/bedrock"

    /// The interpreter, or nil when there is none with boto3 and none can be made.
    static let python: String? = {
        let candidates = [own + "/bin/python3", "python3"]
        if let found = candidates.first(where: works) { return found }
        guard run(["python3", "-m", "venv", own]).status == 0,
            run([own + "/bin/python3", "-m", "pip", "install", "--quiet", "boto3==\(version)"]).status == 0, works(candidates[0])
        else { return nil }
        return candidates[0]
    }()
    static let isThere = python != nil

    private static let own = TestDrivers.folder + "/boto3-python"

    private static func works(_ python: String) -> Bool {
        run([python, "-c", "import boto3; boto3.client('bedrock-runtime', region_name='us-east-1').count_tokens"]).status == 0
    }

    struct Output: Sendable {
        var status: Int32
        var output: Data
        var error: String
    }

    /// Runs a script of the fixtures.
    static func script(_ name: String, _ arguments: String..., environment: [String: String] = [:]) throws -> Data {
        let output = run([python ?? "python3", fixtures + "/" + name] + arguments, environment: environment)
        guard output.status == 0 else { throw Failure(description: "\(name) ended with \(output.status): \(output.error)") }
        return output.output
    }

    struct Failure: Error, CustomStringConvertible { var description: String }

    /// Runs a script of the fixtures with `input`, without holding a thread.
    static func script(_ name: String, _ arguments: [String], input: Data = Data()) async throws -> Data {
        let folder = try TemporaryFolder()
        try input.write(to: URL(fileURLWithPath: folder.file("input")))
        let output = await withCheckedContinuation { done in
            Thread.detachNewThread { done.resume(returning: run([python ?? "python3", fixtures + "/" + name] + arguments, input: folder.file("input"))) }
        }
        guard output.status == 0 else { throw Failure(description: "\(name) ended with \(output.status): \(output.error)") }
        return output.output
    }

    private static func run(_ command: [String], input: String = "/dev/null", environment: [String: String] = [:]) -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let clean = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("AWS_") }
        process.environment = clean.merging(environment) { $1 }
        process.standardInput = FileHandle(forReadingAtPath: input)
        let files = (0..<2).map { _ in NSTemporaryDirectory() + UUID().uuidString }
        for file in files { _ = FileManager.default.createFile(atPath: file, contents: nil) }
        defer { for file in files { try? FileManager.default.removeItem(atPath: file) } }
        process.standardOutput = FileHandle(forWritingAtPath: files[0])
        process.standardError = FileHandle(forWritingAtPath: files[1])
        do { try process.run() } catch { return Output(status: 127, output: Data(), error: "\(error)") }
        process.waitUntilExit()
        let texts = files.map { FileManager.default.contents(atPath: $0) ?? Data() }
        return Output(status: process.terminationStatus, output: texts[0], error: String(decoding: texts[1], as: UTF8.self))
    }
}
