import BuildKit
import Foundation
@testable import Server
import TestKit

/// `baton serve` over the real model, as a person would run it. It goes when this does.
final class BatonServer: @unchecked Sendable {
    static let key = ["AKIDALICE", "secret/of+alice"]
    static let bearer = "baton-bearer-of-bob"
    /// What the server needs that may not be there.
    static let isPossible = Boto.isThere && TestModel.path != nil && TestDrivers.has("cpu") && access(TestDrivers.folder + "/baton", X_OK) == 0
    static let absence = "needs the model, the cpu driver and Python with boto3; \(Boto.absence)"

    let endpoint: String
    private let process = Process()
    private let folder: TemporaryFolder

    /// Starts it and waits until it listens.
    init(keys: String? = BatonServer.keys, _ arguments: String...) async throws {
        folder = try TemporaryFolder()
        let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
        process.executableURL = URL(fileURLWithPath: TestDrivers.folder + "/baton")
        process.arguments = ["serve", root + "/Examples/aggregated.yaml", "--port", "0"] + arguments
        if let keys {
            try folder.write(keys, to: "keys.json")
            chmod(folder.file("keys.json"), 0o600)
            process.arguments? += ["--keys", folder.file("keys.json")]
        }
        process.standardInput = FileHandle.nullDevice
        for name in ["output", "log"] { try folder.write("", to: name) }
        process.standardOutput = FileHandle(forWritingAtPath: folder.file("output"))
        process.standardError = FileHandle(forWritingAtPath: folder.file("log"))
        try process.run()
        var line = ""
        while !line.contains("\n") {
            guard process.isRunning else { throw ToolError("baton serve ended with \(process.terminationStatus): \(try Tool.read(folder.file("log")))") }
            try await Task.sleep(for: .milliseconds(50))
            line = try Tool.read(folder.file("output"))
        }
        endpoint = line.split(separator: " ").last.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) } ?? ""
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }

    var figures: ProcessFigures { ProcessFigures(process.processIdentifier) }
    var descriptors: Int { figures.descriptors }
    var residentKilobytes: Int { figures.residentKilobytes }

    var isRunning: Bool { process.isRunning }

    /// What came of each call of a plan; see `calls.py`.
    func calls(_ plan: [[String: Any]]) async throws -> [Called] {
        let data = try JSONSerialization.data(withJSONObject: plan)
        let output = try JSONSerialization.jsonObject(with: try await Boto.script("calls.py", [endpoint], input: data)) as? [[String: Any]] ?? []
        guard output.count == plan.count else { throw ToolError("\(plan.count) calls were made and \(output.count) came back") }
        return output.map(Called.init)
    }

    /// Alice signs; Bob has a bearer key.
    static let keys = """
        {"keys": [{"name": "alice", "access_key": "\(key[0])", "secret_key": "\(key[1])", "priority": true},
                  {"name": "bob", "hash": "\(bearerHash)"}]}
        """
}

/// What came of one call.
struct Called {
    let fields: [String: Any]

    var answer: [String: Any] { fields["answer"] as? [String: Any] ?? [:] }
    var error: String? { fields["error"] as? String }
    var status: Int? { fields["status"] as? Int }
    var message: String { fields["message"] as? String ?? "" }
    var headers: [String: Any] { fields["headers"] as? [String: Any] ?? (answer["ResponseMetadata"] as? [String: Any])?["HTTPHeaders"] as? [String: Any] ?? [:] }
    var resent: [String: Any] { fields["resent"] as? [String: Any] ?? [:] }

    /// The value at a path of keys and indices.
    subscript(_ path: Any...) -> Any? {
        path.reduce(Optional<Any>.some(answer)) { value, step in
            if let index = step as? Int, let list = value as? [Any] { return list.indices.contains(index) ? list[index] : nil }
            return (value as? [String: Any])?[step as? String ?? ""]
        }
    }

    func text(_ path: Any...) -> String? {
        path.reduce(Optional<Any>.some(answer)) { value, step in
            if let index = step as? Int, let list = value as? [Any] { return list.indices.contains(index) ? list[index] : nil }
            return (value as? [String: Any])?[step as? String ?? ""]
        } as? String
    }

    /// The events of a stream, in order: their names and what they hold.
    func events(_ name: String) -> [(name: String, value: [String: Any])] {
        (answer[name] as? [[String: Any]] ?? []).compactMap { event in
            event.first.map { ($0.key, $0.value as? [String: Any] ?? [:]) }
        }
    }

    /// The native bodies in a stream of chunks.
    var chunks: [[String: Any]] {
        events("body").compactMap { event in
            (event.value["bytes"] as? String).flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) } as? [String: Any]
        }
    }

    /// The native body of an answer.
    var body: [String: Any] {
        (answer["body"] as? String).flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) } as? [String: Any] ?? [:]
    }
}

extension BatonServer {
    /// As the key file keeps it.
    private static let bearerHash: String = KeyHash(of: bearer).description
}
