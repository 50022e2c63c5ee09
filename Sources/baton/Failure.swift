import ArgumentParser
import Driver
import Engine
import Glibc
import Model
import Pipeline
import Server
import Tokens

/// What ends the command: one line, and an exit code.
struct Failure: Error {
    /// 1: it failed while running. 2: the manifest, the model or the input is wrong.
    var code: Int32
    var words: String

    init(code: Int32, _ words: String) {
        self.code = code
        self.words = words.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    /// Runs `body` and turns every typed error of the floors below into a failure.
    static func wrapping<R>(_ body: () throws -> R) throws -> R {
        do { return try body() } catch { throw of(error) }
    }

    /// An error of the floors below as a failure; others as they are.
    static func of(_ error: any Error) -> any Error {
        switch error {
        case let error as EngineError: Failure(code: error.kind == .usage || error.kind == .placement ? 2 : 1, error.description)
        case let error as DriverError: Failure(code: 1, error.description)
        case let error as ModelError: Failure(code: 2, error.description)
        case let error as TokensError: Failure(code: 2, error.description)
        case let error as ForeignError: Failure(code: 2, error.description)
        case let error as ManifestError: Failure(code: 2, error.description)
        case let error as ServerError: Failure(code: 2, error.description)
        default: error
        }
    }
}
