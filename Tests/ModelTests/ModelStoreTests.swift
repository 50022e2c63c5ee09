// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

@Suite("The model cache")
struct ModelStoreTests {
    @Test("BATON_MODELS goes before XDG_CACHE_HOME, which goes before HOME")
    func folder() throws {
        var values = ["BATON_MODELS": "/m", "XDG_CACHE_HOME": "/x", "HOME": "/h"]
        #expect(try ModelStore.standard { values[$0] }.folder == "/m")
        values["BATON_MODELS"] = ""
        #expect(try ModelStore.standard { values[$0] }.folder == "/x/baton/models")
        values["XDG_CACHE_HOME"] = "relative"
        #expect(try ModelStore.standard { values[$0] }.folder == "/h/.cache/baton/models")
        values["HOME"] = nil
        expect("BATON_MODELS") { () throws(ModelError) in _ = try ModelStore.standard { values[$0] } }
    }

    @Test("models are listed by name, and nothing else in the folder is")
    func list() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write("b.gguf", [1, 2, 3])
        _ = try folder.write("a.shape.json", [1])
        _ = try folder.write("notes.txt", [])
        _ = try folder.write(".hidden.gguf", [])
        let list = ModelStore(folder: folder.path).list()
        #expect(list.map(\.name) == ["a", "b"])
        #expect(list.map(\.bytes) == [1, 3])
        #expect(ModelStore(folder: folder.path + "/absent").list().isEmpty)
    }

    @Test("a name resolves in the folder, a path resolves to itself")
    func resolve() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("b.gguf", [1])
        let store = ModelStore(folder: folder.path)
        #expect(try store.resolve("b") == path)
        #expect(try store.resolve(path) == path)
    }

    @Test("a missing model says what is there, what was meant and what to run")
    func missing() throws {
        let folder = try TemporaryFolder()
        let store = ModelStore(folder: folder.path)
        expect("\"smollm\"", "none", "baton model pull smollm2-135m-instruct") { () throws(ModelError) in _ = try store.resolve("smollm") }
        _ = try folder.write("mistral.gguf", [1])
        expect("which has mistral", "did you mean mistral?") { () throws(ModelError) in _ = try store.resolve("mistrall") }
        expect("./absent.gguf", "no such file", "mistral") { () throws(ModelError) in _ = try store.resolve("./absent.gguf") }
        expect("no model \"\"") { () throws(ModelError) in _ = try store.resolve("") }
        expect(folder.path, "not a regular file") { () throws(ModelError) in _ = try store.resolve(folder.path) }
    }

    @Test("pulling a name that is not known says which are")
    func unknown() throws {
        let folder = try TemporaryFolder()
        expect("smollm2-135m-instruct") { () throws(ModelError) in
            _ = try ModelStore(folder: folder.path).pull("smollm2-135m-instuct")
        }
    }
}
