import ArgumentParser
import Engine
import Model

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Lists, fetches and inspects models.",
        subcommands: [List.self, Pull.self, Inspect.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the models in the cache, and those that can be pulled.")
        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            try Failure.wrapping {
                let store = try ModelStore.standard()
                let there = store.list()
                if json {
                    return Terminal.line(try JSON.text(there.map { Entry(name: $0.name, path: $0.path, bytes: Int($0.bytes)) }))
                }
                Terminal.line(Columns([["model", "size", "path"]] + there.map { [$0.name, ByteCount($0.bytes).description, $0.path] }, right: .max).text)
                for known in KnownModel.all where !there.contains(where: { $0.name == known.name }) {
                    Terminal.line("\(known.name)  not here yet: baton model pull \(known.name)")
                }
            }
        }

        private struct Entry: Encodable {
            var name, path: String
            var bytes: Int
        }
    }

    struct Pull: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Fetches a model into the cache and checks its sha256.")
        @Argument(help: "The model's name.") var name = KnownModel.all.first?.name ?? ""

        func run() throws {
            try Failure.wrapping {
                let bar = ProgressBar()
                let path = try ModelStore.standard().pull(name) { progress in bar.report(Self.words(progress).0, Self.words(progress).1) }
                bar.clear()
                Terminal.line(path)
            }
        }

        private static func words(_ progress: ModelStore.PullProgress) -> (String, Double) {
            switch progress {
            case .waiting: ("waiting for another pull", 0)
            case .downloading(let done, let total): ("downloading", total > 0 ? Double(done) / Double(total) : 0)
            case .unpacking: ("unpacking", 1)
            case .checking(let done, let total): ("checking sha256", total > 0 ? Double(done) / Double(total) : 0)
            }
        }
    }

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Says what is in a model.")
        @Argument(help: "A model in the cache, or the path of a .gguf or .shape.json.") var model: String
        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            try Failure.wrapping {
                let summary = try ModelSummary(try ModelFile(path: try ModelPaths.resolve(model)))
                Terminal.line(try JSON.text(summary))
            }
        }
    }
}
