import BuildKit
import Foundation
import TestKit
import Testing

/// Whatever is wrong is named in one line, with exit code 1 or 2, and nothing crashes or hangs.
@Suite(.enabled(if: Command.isThere && TestDrivers.has("cpu"), "the command or the cpu driver is not built"))
struct BadInputTests {
    private func refuses(_ command: Command, code: Int32, _ parts: String..., location: SourceLocation = #_sourceLocation) {
        #expect(command.status == code, "\(command.error)", sourceLocation: location)
        #expect(command.errorLines == 1, "\(command.error)", sourceLocation: location)
        for part in parts { #expect(command.error.contains(part), "\(command.error)", sourceLocation: location) }
    }

    private func manifest(_ folder: Scratch, model: String, device: String = "cpu") throws -> String {
        try folder.write("m.yaml", "baton: 1\nmodel: \(model)\ndevices:\n  host: \(device)\n")
    }

    @Test("a missing manifest, an unknown key and a cycle are named with their place")
    func manifests() throws {
        let folder = try Scratch()
        refuses(try Command.run("run", "none.yaml", "--prompt", "x", in: folder.path), code: 2, "none.yaml")
        try folder.write("a.yaml", "baton: 1\nmodle: x\n")
        refuses(try Command.run("run", "a.yaml", "--prompt", "x", in: folder.path), code: 2, "a.yaml:2:1", "did you mean \"model\"")
        try folder.write("b.yaml", "baton: 1\nmodel: [\n")
        refuses(try Command.run("run", "b.yaml", "--prompt", "x", in: folder.path), code: 2, "b.yaml:")
    }

    @Test("a missing model, a truncated file, the wrong magic and an empty file are refused")
    func models() throws {
        let folder = try Scratch()
        refuses(try Command.run("run", manifest(folder, model: "nope"), "--prompt", "x", in: folder.path), code: 2, "no model \"nope\"", "model pull")
        try folder.write("junk.gguf", Data("this is no model at all, only text".utf8))
        refuses(try Command.run("run", manifest(folder, model: "./junk.gguf"), "--prompt", "x", in: folder.path), code: 2, "junk.gguf", "not a GGUF file")
        try folder.write("cut.gguf", Data([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127]))
        refuses(try Command.run("run", manifest(folder, model: "./cut.gguf"), "--prompt", "x", in: folder.path), code: 2, "cut.gguf")
    }

    @Test("an unknown driver, a library that is none and an unknown option are refused", .enabled(if: TestModel.path != nil, "needs the model"))
    func drivers() throws {
        let folder = try Scratch()
        let model = TestModel.path ?? ""
        refuses(try Command.run("run", manifest(folder, model: model, device: "cpux"), "--prompt", "x", in: folder.path), code: 1, "no such driver", "cpu")
        try folder.write("libx.so", "this is text")
        refuses(try Command.run("run", manifest(folder, model: model, device: "./libx.so"), "--prompt", "x", in: folder.path), code: 1, "libx.so", "it is no ELF file: it begins with \"this is \"", "nothing was loaded")
        refuses(
            try Command.run("run", manifest(folder, model: model, device: "{driver: cpu, options: {numerix: f32}}"), "--prompt", "x", in: folder.path),
            code: 1, "numerix", "did you mean 'numerics'")
    }

    @Test("an empty prompt, invalid UTF-8 and a prompt longer than the context are refused", .enabled(if: TestModel.path != nil, "needs the model"))
    func prompts() throws {
        let folder = try Scratch()
        try folder.write("m.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n  host: cpu\ncontext: 16\n")
        refuses(try Command.run("run", "m.yaml", "--prompt", "", in: folder.path), code: 2, "empty")
        try folder.write("bad.txt", Data([0x61, 0x62, 0xFF]))
        refuses(try Command.run("run", "m.yaml", "--prompt-file", "bad.txt", in: folder.path), code: 2, "bad.txt", "byte 2")
        refuses(
            try Command.run("run", "m.yaml", "--prompt", String(repeating: "long ", count: 40), in: folder.path), code: 2, "the context holds 16")
    }

    @Test("a folder, a pipe nobody writes to and a device without end, in a file's place, are one line and no wait")
    func noFiles() throws {
        let folder = try Scratch()
        let pipe = folder.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let manifest = Command.root + "/Examples/aggregated.yaml"
        for path in [folder.path, pipe, "/dev/zero"] {
            for arguments in [["explain", path], ["run", manifest, "--prompt-file", path], ["run", manifest, "--messages", path], ["score", manifest, "--prompt-file", path]] {
                let run = try Command.run(arguments, in: folder.path)
                #expect(run.status == 2 && run.errorLines == 1, "\(arguments): \(run.status) \(run.error)")
            }
        }
    }

    @Test(
        "a driver that ends its process at entry is tried in a child first: run, serve and explain end in one line, and nothing is loaded",
        .enabled(if: Tool.cc != nil && Tool.cxx != nil && TestModel.path != nil, "needs compilers and the model"),
        arguments: [("exits_in_entry.c", "exited with status 0"), ("throws_across.cpp", "SIGABRT")])
    func hostileEntries(source: String, words: String) throws {
        let folder = try Scratch()
        let compiler = try #require(source.hasSuffix(".c") ? Tool.cc : Tool.cxx)
        try compiler.check(["-shared", "-fPIC", "-I", SharedLibrary.headers, "-o", folder.path + "/libbaton-hostile.so", "\(SharedLibrary.root)/Tests/Fixtures/drivers/\(source)"])
        let manifest = try manifest(folder, model: TestModel.path ?? "", device: "./libbaton-hostile.so")
        for arguments in [["run", manifest, "--prompt", "x"], ["serve", manifest, "--port", "0"], ["explain", manifest]] {
            refuses(try Command.run(arguments, in: folder.path), code: 1, "libbaton-hostile.so", words, "while it ran entry", "nothing was loaded")
        }
    }

    @Test("a driver that hangs is past its deadline: the log names driver, device, call, time and batch, its child is ended, and the text goes on in a new one",
        .enabled(if: TestModel.path != nil, "needs the model"))
    func watchdog() throws {
        let folder = try Scratch()
        func run(_ layers: String) throws -> Command {
            let device = "{driver: cpu, isolation: process, restart: {budget: 8}\(layers)}"
            try folder.write("m.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n  host: \(device)\nwatchdog: {submit: 4s}\n")
            return try Command.run("run", "m.yaml", "--prompt", "What is gravity?", "--max-tokens", "10", "--json", in: folder.path)
        }
        let (calm, hung) = (try run(""), try run(", layers: [{fault: {kind: hang, call: submit, at: 4}}]"))
        #expect(hung.status == 0, "\(hung.error)")
        #expect(calm.json["text"] as? String != nil && hung.json["text"] as? String == calm.json["text"] as? String, "\(hung.output)")
        #expect(hung.error.contains("watchdog: driver cpu, device host: submit took more than 4 s for batch "), "\(hung.error)")
        #expect(hung.error.contains("its process is ended"))
    }

    @Test("what a driver prints to standard output spoils no report", .enabled(if: Tool.cc != nil, "no C compiler"))
    func printing() throws {
        let built = try TemporaryFolder()
        let library = try SharedLibrary.driver("prints", in: built)
        let run = try Command.run("drivers", "--json", in: built.path, environment: ["BATON_DRIVER_FILES": library])
        #expect(run.status == 0)
        let report = try #require(run.json["report"] as? [String: Any])
        let candidates = try #require(report["candidates"] as? [[String: Any]])
        #expect(candidates.first?["decision"] as? String == "loaded")
        for words in ["a word at load", "a word at entry", "a word at the end"] {
            #expect(!run.output.contains(words) && run.error.contains(words))
        }
    }

    @Test("keygen, sign and verify: a wrong hash, a bad signature and a strange key are one line each", .enabled(if: Tool.cc != nil, "no C compiler"))
    func signing() throws {
        let built = try TemporaryFolder()
        _ = try SharedLibrary.driver("old", in: built)
        func run(_ arguments: String...) throws -> Command { try Command.run(arguments, in: built.path) }
        #expect(try run("driver", "keygen", "mine").status == 0 && run("driver", "keygen", "other").status == 0)
        refuses(try run("driver", "keygen", "mine"), code: 1, "mine.key", "never overwritten")
        refuses(try run("driver", "verify", "libbaton-old.so", "--require", "hash"), code: 1, "requires a sha256")
        #expect(try run("driver", "sign", "libbaton-old.so", "--key", "mine.key").status == 0)
        let good = try run("driver", "verify", "libbaton-old.so", "--key", "mine.pub")
        #expect(good.status == 0 && good.output.contains("valid, key"))
        #expect(try run("driver", "verify", "libbaton-old.so", "--json").json["signature"] as? String != nil)
        refuses(try run("driver", "verify", "old.driver.json", "--key", "other.pub"), code: 1, "not on the list")
        refuses(try run("driver", "verify", "old.driver.json", "--key", "mine.key"), code: 2, "is a private key")
        let manifest = try Tool.read(built.file("old.driver.json"))
        try built.write(manifest.replacingOccurrences(of: "\"max\" : \"1.0\"", with: "\"max\" : \"1.1\""), to: "wide.driver.json")
        refuses(try run("driver", "verify", "wide.driver.json", "--key", "mine.pub"), code: 1, "its manifest says ABI 1.0..1.1")
        try built.write(manifest.replacingOccurrences(of: "\"value\" : \"", with: "\"value\" : \"AA"), to: "bad.driver.json")
        refuses(try run("driver", "verify", "bad.driver.json"), code: 1, "signature in its manifest is not over this hash")
        _ = try SharedLibrary.build("Tests/Fixtures/drivers/null_slots.c", name: "baton-old", in: built)
        refuses(try run("driver", "verify", "old.driver.json"), code: 1, "null_slots", "nothing was loaded")
    }

    @Test("the operator's policy binds every command that loads a driver", .enabled(if: TestModel.path != nil, "needs the model"))
    func policy() throws {
        let folder = try Scratch()
        try folder.write("trust.json", #"{"require": "hash"}"#)
        let manifest = try manifest(folder, model: TestModel.path ?? "")
        let run = try Command.run("run", manifest, "--prompt", "x", in: folder.path, environment: ["BATON_TRUST": folder.path + "/trust.json"])
        refuses(run, code: 1, "requires a sha256", "nothing was loaded")
        try folder.write("t.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n  host: cpu\ntrust: {require: signature}\n")
        refuses(try Command.run("run", "t.yaml", "--prompt", "x", in: folder.path), code: 1, "t.yaml", "requires a")
    }

    @Test("a 70B-shaped model does not fit one CS-3, which explain proves without weights", .enabled(if: TestDrivers.has("cs3") && TestDrivers.has("trainium3"), "needs the device models"))
    func tooLarge() throws {
        let folder = try Scratch()
        try folder.write(
            "big.shape.json",
            #"{"architecture":"llama","layers":80,"hidden":8192,"heads":64,"kv_heads":8,"head_dim":128,"ffn":28672,"vocab":128256,"context":8192,"weight_type":"F16"}"#)
        try folder.write("m.yaml", "baton: 1\nmodel: ./big.shape.json\ndevices:\n  trn: trainium3\n  wse: cs3\nstages:\n  prefill: {device: trn}\n  decode: {device: wse}\n")
        refuses(try Command.run("explain", "m.yaml", in: folder.path), code: 2, "device wse (CS-3)", "44.0 GB", "141.1 GB")
        let four = (0..<4).map { "  w\($0): cs3\n" }.joined()
        try folder.write(
            "four.yaml",
            "baton: 1\nmodel: ./big.shape.json\ndevices:\n  trn: trainium3\n\(four)stages:\n  prefill: {device: trn}\n  decode: {devices: [w0, w1, w2, w3]}\n")
        #expect(try Command.run("explain", "four.yaml", in: folder.path).status == 0)
    }
}
