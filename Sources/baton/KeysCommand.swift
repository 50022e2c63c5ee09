import ArgumentParser
import FoundationEssentials
import Glibc
import Server

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Makes and lists the API keys of a server.",
        discussion: """
            EXAMPLES
              baton keys add keys.json alice --requests-per-minute 60 --tokens-per-minute 100000 --concurrent 4
              baton keys add keys.json batch-jobs
              baton keys add keys.json carol --signing
              baton keys list keys.json

            A key is shown once, when it is made; the file keeps a salted hash of it. With --signing it is a pair that AWS's clients sign requests with, which
            the file keeps in the clear, since a signature is checked by making it again: only the file's owner may be able to read it.
            """,
        subcommands: [Add.self, List.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Adds a key to the file and prints it.")
        @Argument(help: "The file; it is made when it is not there.", completion: .file(extensions: ["json"])) var file: String
        @Argument(help: "Whose key it is.") var name: String
        @Option(help: "Requests a minute at most.") var requestsPerMinute: Int?
        @Option(help: "Tokens of prompts and completions a minute at most.") var tokensPerMinute: Int?
        @Option(help: "Requests that wait or run at once at most.") var concurrent: Int?
        @Flag(help: "Its requests may ask to go first (service_tier: priority).") var priority = false

        @Flag(help: "Make an access key and a secret key for signed requests (AWS Signature Version 4), not a bearer key.") var signing = false

        func run() throws {
            try Failure.wrapping {
                let limits = KeyFile.Limits(requestsPerMinute: requestsPerMinute, tokensPerMinute: tokensPerMinute, concurrent: concurrent)
                let there = access(file, F_OK) == 0 ? try KeyFile(json: Files.read(file), file: file) : KeyFile()
                var keys = there
                var lines: [String] = []
                if signing {
                    let pair = try keys.addSigning(name, limits: limits, mayHavePriority: priority)
                    lines = ["AWS_ACCESS_KEY_ID=\(pair.accessKey)", "AWS_SECRET_ACCESS_KEY=\(pair.secretKey)"]
                } else {
                    lines = [try keys.add(name, limits: limits, mayHavePriority: priority)]
                }
                try Files.writePrivately(try keys.json(), to: file)
                for line in lines { Terminal.line(line) }
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the names in the file.")
        @Argument(help: "The file.", completion: .file(extensions: ["json"])) var file: String

        func run() throws {
            try Failure.wrapping {
                for name in try KeyFile(json: Files.read(file), file: file).names { Terminal.line(name) }
            }
        }
    }
}

extension Files {
    /// A file that only its owner may read, replaced as a whole.
    static func writePrivately(_ text: String, to path: String) throws {
        let draft = path + ".new"
        unlink(draft)
        let descriptor = Glibc.open(draft, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard descriptor >= 0 else { throw Failure(code: 1, "\(path): cannot be written; check the folder and its permissions") }
        Terminal.send(text, to: descriptor)
        fsync(descriptor)
        Glibc.close(descriptor)
        guard rename(draft, path) == 0 else { throw Failure(code: 1, "\(path): cannot be replaced; check the folder and its permissions") }
    }
}
