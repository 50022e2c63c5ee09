// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("Manifests that are refused")
struct ManifestErrorTests {
    @Test("an unknown key is refused with the nearest valid one")
    func unknownKeys() {
        refuses("baton: 1\nmodle: m\n", .unknownKey, at: "2:1", "unknown key \"modle\" in the manifest", "did you mean \"model\"?")
        refuses(small("handoff:\n  overlap: layer\n  dead_line: 2s\n"), .unknownKey, at: "6:3", "\"dead_line\" in handoff", "\"deadline\"")
        refuses("baton: 1\nmodel: m\ndevices:\n  h: {drivr: cpu}", .unknownKey, at: "4:7", "in device h", "\"driver\"")
        refuses(small("stages:\n  decode: {devise: host}"), .unknownKey, at: "5:12", "in stage decode", "\"device\"")
        refuses(small("routing: {zzzzzzzz: auto}"), .unknownKey, at: "4:11", "in routing; its keys: mode")
        refuses(small("sampling: {topk: 4}"), .unknownKey, at: "4:12", "did you mean \"top_k\"?")
        refuses(small("<<: {a: b}"), .unknownKey, at: "4:1")
    }

    @Test("a key of another kind of stage is refused")
    func keysOfOtherKinds() {
        refuses(small("stages:\n  tokenize: {device: host}"), .unknownKey, at: "5:14", "kind tokenize", "runs on the host", "kind, after")
        refuses(small("stages:\n  prefill: {library: a.so}"), .unknownKey, at: "5:13", "kind prefill")
    }

    @Test("a key written twice is refused where it stands again")
    func duplicates() {
        refuses("baton: 1\nmodel: a\nmodel: b\n", .duplicateKey, at: "3:1", "\"model\"")
        refuses("baton: 1\nmodel: a\nmodel: b\nmodel: c\n", .duplicateKey, at: "3:1", "\"model\"")
        refuses("baton: 1\nmodel: m\ndevices:\n  h: cpu\n  \"h\": cs3\n", .duplicateKey, at: "5:3", "\"h\"")
        refuses(small("sampling: {seed: 1, 'seed': 2}"), .duplicateKey, at: "4:21", "\"seed\"")
        refuses(small("stages:\n  \"prefill\": host\n  decode: host\n  prefill: host"), .duplicateKey, at: "7:3", "\"prefill\"")
        refuses("{\"baton\": 1, \"é\": 1, \"é\": 2}", .duplicateKey, at: "1:22")
    }

    @Test("a missing key is named with what to write")
    func missing() {
        refuses("model: m\ndevices: {h: cpu}", .missingKey, at: "1:1", "\"baton\"", "baton: 1")
        refuses("baton: 1\ndevices: {h: cpu}", .missingKey, at: "1:1", "\"model\"", ".gguf")
        refuses("baton: 1\nmodel: m", .missingKey, at: "1:1", "\"devices\"", "driver: cpu")
        refuses("baton: 1\nmodel: m\ndevices: {}", .missingKey, at: "3:10", "devices is empty")
        refuses("baton: 1\nmodel: m\ndevices:\n  h: {options: {a: 1}}", .missingKey, at: "4:6", "device h", "\"driver\"")
        refuses(small("stages:\n  guard: {at: logits}"), .missingKey, at: "5:3", "stage guard", "\"kind\"")
        refuses(small("stages:\n  decoder: {}"), .missingKey, at: "5:3", "did you mean \"decode\"?")
        refuses(small("stages:\n  g: {kind: foreign}"), .missingKey, at: "5:6", "\"at\"", "text_in")
        refuses(small("stages:\n  g: {kind: foreign, at: logits, library: a.so}"), .missingKey, at: "5:6", "\"i32 f(f32* logits")
        refuses(small("stages:\n  g: {kind: foreign, at: text_in, library: a, signature: 'i32 (u8*, u64)'}"), .missingKey, at: "5:6", "\"function\"")
    }

    @Test("a value of the wrong type is refused where it stands")
    func wrongTypes() {
        refuses("baton: one\nmodel: m", .wrongType, at: "1:8", "baton is a whole number", "\"one\"")
        refuses("baton: \"1\"\nmodel: m", .wrongType, at: "1:8")
        refuses("baton: 1\nmodel: [m]\n", .wrongType, at: "2:8", "a list stands here")
        refuses("baton: 1\nmodel:\ndevices: {h: cpu}", .wrongType, at: "2:7", "model has no value")
        refuses("baton: 1\nmodel: m\ndevices: cpu", .wrongType, at: "3:10", "devices is a mapping")
        refuses("baton: 1\nmodel: m\ndevices:\n  h: {driver: {}}", .wrongType, at: "4:15", "a mapping stands here")
        refuses("baton: 1\nmodel: m\ndevices:\n  h: {driver: cpu, options: {a: [1]}}", .wrongType, at: "4:33", "option \"a\"")
        refuses(small("context: 4k"), .wrongType, at: "4:10", "\"4k\"")
        refuses(small("handoff: {checksum: maybe}"), .wrongType, at: "4:21", "on or off")
        refuses(small("handoff: {deadline: 2}"), .wrongType, at: "4:21", "250ms")
        refuses(small("handoff: {deadline: 2h}"), .wrongType, at: "4:21", "250ms")
        refuses(small("sampling: {temperature: hot}"), .wrongType, at: "4:25", "temperature is a number")
        refuses(small("sampling: {temperature: 0x10}"), .wrongType, at: "4:25")
        refuses(small("sampling: {top_k: null}"), .wrongType, at: "4:19", "top_k has no value")
        refuses(small("stages: [prefill]"), .wrongType, at: "4:9", "a mapping of names to stages")
        refuses(small("stages: {decode: {split: even}}"), .wrongType, at: "4:26", "\"layers\"")
        refuses("- baton\n", .wrongType, at: "1:1", "begins with \"baton: 1\"")
        refuses("just words", .wrongType, at: "1:1", "\"just words\" stands here")
    }

    @Test("numbers out of range are refused: NaN, infinity, overflow, bounds")
    func numbers() {
        for text in [".nan", ".inf", "-.INF", "nan", "1e999", "-1", "101"] {
            refuses(small("sampling: {temperature: \(text)}"), .badValue, at: "4:25", "temperature is a number from 0 to 100")
        }
        refuses(small("sampling: {top_p: 0}"), .badValue, at: "4:19", "above 0")
        refuses(small("sampling: {top_k: 99999999999999999999999}"), .badValue, at: "4:19")
        refuses(small("sampling: {seed: 18446744073709551616}"), .badValue, at: "4:18")
        refuses(small("sampling: {seed: -1}"), .badValue, at: "4:18")
        refuses(small("context: 0"), .badValue, at: "4:10", "from 1 to 2147483647")
        refuses(small("handoff: {deadline: 0s}"), .badValue, at: "4:21", "from 1ms")
        refuses(small("handoff: {deadline: 99999999999999999999m}"), .badValue, at: "4:21", "to 60m")
        refuses(small("stages: {decode: {split: [0]}}"), .badValue, at: "4:27")
    }

    @Test("a value that is none of the choices is refused with all of them")
    func choices() {
        refuses(small("routing: {mode: agregated}"), .badValue, at: "4:17", "auto, disaggregated, aggregated", "did you mean \"aggregated\"?")
        refuses(small("handoff: {dtype: f64}"), .badValue, at: "4:18", "auto, f32, f16, bf16")
        refuses(small("handoff: {on_failure: retry}"), .badValue, at: "4:23", "recompute, fail")
        refuses(small("handoff: {overlap: layers}"), .badValue, at: "4:20", "did you mean \"layer\"?")
        refuses(small("stages:\n  g: {kind: forein}"), .badValue, at: "5:13", "\"foreign\"")
        refuses(small("stages:\n  decode: {kind: prefill}"), .badValue, at: "5:18", "another name")
        refuses(small("stages:\n  g: {kind: foreign, at: logit}"), .badValue, at: "5:26", "did you mean \"logits\"?")
    }

    @Test("another version of the format is refused before its keys are looked at")
    func version() {
        refuses("novelty: 1\nbaton: 2\n", .version, at: "2:8", "version 2", "reads version 1")
    }

    @Test("names are letters, digits and a few marks")
    func names() {
        refuses("baton: 1\nmodel: m\ndevices:\n  a b: cpu", .badValue, at: "4:3", "\"a b\" cannot be the name of a device")
        refuses(small("stages:\n  'x\\y': {kind: sample}"), .badValue, at: "5:3", "name of a stage")
    }

    @Test("devices and devices together, or one listed twice, are refused")
    func deviceLists() {
        refuses(small("stages:\n  decode: {device: host, devices: [host]}"), .badValue, at: "5:12", "keep one")
        refuses(small("stages:\n  decode: {devices: [host, host]}"), .badValue, at: "5:28", "listed twice")
        refuses(small("stages:\n  decode: {devices: []}"), .badValue, at: "5:21", "lists 0 names")
    }

    @Test("a signature that is none, or not its hook's, is refused with its column")
    func signatures() {
        func stage(_ hook: String, _ signature: String) -> String {
            small("stages:\n  g: {kind: foreign, at: \(hook), library: a.so, signature: '\(signature)'}")
        }
        refuses(stage("logits", "i32 f(float* a)"), .badValue, at: "5:60", "signature, column 7", "write f32")
        refuses(stage("logits", "i32 f(f32* logits, u64 count, i32 last)"), .wrongType, at: "5:60", "logits calls", "3 parameters instead of 4")
        refuses(stage("logits", "i32 f(f32*, u32, i32*, u64)"), .wrongType, at: "5:60", "parameter 2 is u32 instead of u64")
        refuses(stage("text_in", "void f(u8*, u64)"), .wrongType, at: "5:61", "it returns void instead of i32")
        refuses(stage("text_out", "i32 f(ptr, u64)"), .wrongType, at: "5:62", "parameter 1 is ptr instead of u8*")
        refuses(stage("tokenize", "i32 f(u8*, u64, i32*, u64)"), .wrongType, at: "5:62", "it returns i32 instead of i64")
    }

    @Test("a file that is not there is refused with the system's reason")
    func absent() {
        #expect { try Manifest(contentsOf: "/nowhere/m.yaml") } throws: { error in
            "\(error)" == "/nowhere/m.yaml: the manifest cannot be read: No such file or directory; give the path of a YAML or JSON file"
        }
        #expect(throws: ManifestError.self) { try Manifest(contentsOf: "/") }
    }
}
