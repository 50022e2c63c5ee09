import Driver
import Testing

/// What the driver takes as options.
@Suite("The cpu driver's options", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct OptionTests {
    @Test("each numerics is taken, says its name and gives near the same logits", arguments: ["native", "f32", "bf16", "f16"])
    func numerics(name: String) throws {
        let device = try Rig.open(["numerics": name])
        #expect(device.info.name.contains(name))
        #expect("\(device.info.kvDType)" == ["native": "bf16", "f32": "f32", "bf16": "bf16", "f16": "f16"][name])
        let piece = Rig.Piece(tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], blocks: [0, 1])
        let exact = try Rig(matrices: .q8_0).run(piece)
        let found = try Rig(device, matrices: .q8_0).run(piece)
        #expect(difference(found, exact) < 0.05)
        if name != "f32" { #expect(found != exact, "another numerics rounds elsewhere") }
    }

    @Test("without options it computes natively")
    func defaults() throws {
        let library = try Rig.library()
        #expect(try library.describe([:]).name == library.describe(["numerics": "native"]).name)
        #expect(library.options.first { $0.name == "numerics" }?.choices == ["native", "f32", "bf16", "f16"])
    }

    @Test("another numerics is refused with the list of those there are", arguments: ["f64", "", "F32", "int8", "native "])
    func badNumerics(name: String) throws {
        let library = try Rig.library()
        refusal(.invalidArgument, "one of native, f32, bf16, f16") { _ = try library.describe(["numerics": name]) }
        refusal(.invalidArgument, "one of native, f32, bf16, f16") { _ = try Rig.open(["numerics": name]) }
    }

    @Test("an unknown option is refused with the nearest one")
    func unknown() throws {
        refusal(.invalidArgument, "numerics") { _ = try Rig.open(["numeric": "f32"]) }
        refusal(.invalidArgument, "numerics, kv_dtype, block_tokens, isa, memory") { _ = try Rig.open(["colour": "red"]) }
        refusal(.invalidArgument, "twice") { _ = try Rig.open(["numerics": "f32", "numerics": "bf16"]) }
    }

    @Test("memory that is no number of bytes is refused", arguments: ["-1", "1e9", "lots", "9999999999999999999999", "2000000000000000"])
    func badMemory(text: String) throws { refusal(.invalidArgument, "memory") { _ = try Rig.open(["memory": text]) } }

    @Test("a KV dtype the device cannot hold is refused", arguments: ["q8_0", "i8"])
    func badKV(text: String) throws { refusal(.invalidArgument, "auto, f32, f16, bf16") { _ = try Rig.open(["kv_dtype": text]) } }
}
