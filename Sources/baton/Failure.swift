import ArgumentParser
import Driver
import Engine
import Glibc
import Model
import Pipeline
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
        do { return try body() } catch let error as Failure { throw error } catch let error as EngineError {
            throw Failure(code: error.kind == .usage || error.kind == .placement ? 2 : 1, error.description)
        } catch let error as DriverError {
            throw Failure(code: 1, error.description)
        } catch let error as ModelError {
            throw Failure(code: 2, error.description)
        } catch let error as TokensError {
            throw Failure(code: 2, error.description)
        } catch let error as ForeignError {
            throw Failure(code: 2, error.description)
        } catch let error as ManifestError {
            throw Failure(code: 2, error.description)
        }
    }
}
