import ArgumentParser
import Model
import Tokens

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turns texts into token ids.",
        discussion: """
            --cases holds a JSON array of strings; an array of id arrays is printed. Special tokens in the text are parsed, no BOS is added.

            EXAMPLES
              baton tokenize --model smollm2-135m-instruct --text "Hello" --json
              baton tokenize --model smollm2-135m-instruct --cases cases.json --json
            """)

    @Option(help: "A model in the cache, or the path of a .gguf.") var model: String
    @Option(help: "A JSON file with an array of strings.", completion: .file(extensions: ["json"])) var cases: String?
    @Option(help: "One text.") var text: String?
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard (cases == nil) != (text == nil) else { throw ValidationError("give one of --cases and --text") }
    }

    func run() throws {
        try Failure.wrapping {
            let tokenizer = try ModelFile(path: try ModelPaths.resolve(model)).tokenizer()
            let texts = try cases.map { try JSON.read([String].self, from: $0, what: "a JSON array of strings") } ?? [text ?? ""]
            let ids = texts.map { tokenizer.encode($0) }
            if json {
                let rows = ids.map { "[" + $0.map(String.init).joined(separator: ",") + "]" }
                Terminal.line("[" + rows.joined(separator: ",\n") + "]")
            } else {
                for row in ids { Terminal.line(row.map { "\($0)\t\(tokenizer.decode([$0], skippingSpecials: false).debugDescription)" }.joined(separator: "\n")) }
            }
        }
    }
}

/// A model as commands name it: a name in the cache, or a path, which may be relative here.
enum ModelPaths {
    static func resolve(_ model: String) throws -> String {
        guard model.contains("/") || model.hasSuffix(".gguf") || model.hasSuffix(".json") else { return try ModelStore.standard().resolve(model) }
        return Files.absolute(model, against: Files.currentDirectory)
    }
}
