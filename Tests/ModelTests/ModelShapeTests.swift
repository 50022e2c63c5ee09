// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

@Suite("Models known by shape alone")
struct ModelShapeTests {
    private static let seventyB = """
        {"architecture": "llama", "layers": 80, "hidden": 8192, "heads": 64, "kv_heads": 8, "head_dim": 128, "ffn": 28672,
         "vocab": 128256, "context": 131072, "weight_type": "F16", "rope_base": 500000.0}
        """

    private func shape(_ json: String) throws(ModelError) -> ModelShape { try ModelShape(json: Array(json.utf8), name: "big.shape.json") }

    @Test("a 70B shape counts the published parameters, bytes and KV of Llama 3 70B")
    func counts() throws {
        let model = try ModelFile(shape: shape(Self.seventyB), path: "big.shape.json")
        #expect(model.name == "big" && model.file == nil)
        #expect(model.whole.parameterCount == 70_553_706_496)
        #expect(model.whole.weightBytes(as: .f16) == 2 * 70_553_706_496)
        #expect(model.whole.kvBytesPerToken(bytesPerElement: 2) == 327_680)
        #expect(model.whole.tensors.allSatisfy { $0.role != .weight(nil) || $0.type == ($0.shape.count == 1 ? .f32 : .f16) })
        #expect(try model.program(layers: 0..<40).parameterCount + model.program(layers: 40..<80).parameterCount == 70_553_706_496)
        #expect(try !ModelSummary(model).hasWeights)
    }

    @Test("a shape file is opened where a model is expected")
    func file() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("big.shape.json", Array(Self.seventyB.utf8))
        #expect(try ModelFile(path: path).hyperparameters.layers == 80)
        #expect(try ModelStore(folder: folder.path).resolve("big") == path)
    }

    @Test("what is wrong is said with line and column")
    func errors() {
        let cases: [(String, [String])] = [
            ("", ["line 1, column 1", "`{`"]), ("[]", ["`{`"]), ("{\"layers\" 3}", ["`:`", "column 11"]),
            ("{\n \"layer\": 3}", ["line 2, column 2", "\"layer\"", "did you mean \"layers\"?"]),
            ("{\"layers\": 1, \"layers\": 2}", ["twice"]),
            ("{\"layers\": 1.5}", ["\"layers\"", "whole"]), ("{\"layers\": -1}", ["whole"]), ("{\"layers\": nul}", ["\"nul\""]),
            ("{\"layers\": 99999999999999999999}", ["whole"]), ("{\"layers\": 01}", ["\"01\""]), ("{\"layers\": {}}", ["line 1"]),
            ("{\"architecture\": \"gpt\"}", ["\"gpt\"", "llama"]), ("{\"weight_type\": \"Q6_K\"}", ["weight_type", "Q8_0"]),
            ("{\"layers\": 1}", ["lacks architecture, hidden"]), ("{} x", ["after the object"]), ("{\"a", ["no end"]),
            ("{\"layers\": 1,}", ["column 14"]),
        ]
        for (json, parts) in cases {
            for part in parts { expect("big.shape.json", part) { () throws(ModelError) in _ = try shape(json) } }
        }
    }

    @Test("a shape cut at any byte is refused")
    func truncation() {
        let bytes = Array(Self.seventyB.utf8)
        for length in 0..<bytes.count {
            expect("x") { () throws(ModelError) in _ = try ModelShape(json: Array(bytes[..<length]), name: "x") }
        }
    }

    @Test("impossible values are refused by the file's own names")
    func values() {
        let change: [(String, String, String)] = [
            ("\"heads\": 64", "\"heads\": 60", "kv_heads"), ("\"layers\": 80", "\"layers\": 0", "layers"),
            ("\"head_dim\": 128", "\"head_dim\": 127", "rope_dimensions"), ("\"rope_base\": 500000.0", "\"rope_base\": 0", "rope_base"),
        ]
        for (from, to, part) in change {
            let json = Self.seventyB.split(separator: from, maxSplits: 1).joined(separator: to)
            expect("big.shape.json", part) { () throws(ModelError) in _ = try shape(json) }
        }
    }
}
