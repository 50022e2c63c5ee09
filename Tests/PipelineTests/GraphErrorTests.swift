// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("Graphs that cannot be proven")
struct GraphErrorTests {
    @Test("a stage without a device is refused where there are several")
    func withoutDevice() {
        refuses(two("stages:\n  decode: wse\n"), .missingKey, at: "6:1", "stage prefill has no device", "trn, wse")
        refuses(two("stages:\n  prefill: {after: tokenize}\n  decode: wse\n"), .missingKey, at: "7:3", "stage prefill has no device")
        refuses(two(""), .missingKey, at: "4:3", "stage decode has no device", "decode: {device: ...}")
    }

    @Test("a device that is not declared is refused with the nearest")
    func undeclared() {
        refuses(two("stages:\n  prefill: trm\n  decode: wse"), .unknownName, at: "7:12", "\"trm\" is not declared", "did you mean \"trn\"?")
        refuses(two("stages:\n  prefill: trn\n  decode: {devices: [wse, wsf]}"), .unknownName, at: "8:27", "\"wse\"?")
    }

    @Test("a split that does not match its devices is refused")
    func split() {
        refuses(two("stages:\n  prefill: trn\n  decode: {device: wse, split: [15, 15]}"), .badValue, at: "8:32", "in 2", "1 device")
    }

    @Test("replicas that share a device, lack one, or stand beside a device of the stage are refused")
    func replicas() {
        refuses(four("decode: {replicas: [a, b, {devices: [c, a]}]}"), .badValue, at: "4:50", "\"a\" is in two replicas of stage decode")
        refuses(four("decode: {replicas: [a, {split: layers}]}"), .missingKey, at: "4:33", "replica 2 of stage decode has no \"device\"")
        refuses(four("decode: {replicas: [a, b], device: c}"), .badValue, at: "4:37", "both replicas and device")
        refuses(four("decode: {replicas: [a, b], split: layers}"), .badValue, at: "4:37", "both replicas and split")
        refuses(four("decode: {replicas: []}"), .badValue, at: "4:29", "list 1 to 16")
        refuses(four("decode: {replicas: 2}"), .wrongType, at: "4:29", "a list of replicas", "\"2\" stands here")
        refuses(four("decode: {replicas: {device: a}}"), .wrongType, at: "4:29", "a list of replicas")
        refuses(four("decode: {replicas: [[a]]}"), .wrongType, at: "4:30", "replica 1 of stage decode")
        refuses(four("decode: {replicas: [a, {divice: b}]}"), .unknownKey, at: "4:34", "did you mean \"device\"?")
        refuses(four("decode: {replicas: [a, e]}, prefill: a"), .unknownName, at: "4:33", "\"e\" is not declared")
        refuses(four("decode: {replicas: [a, {device: b, split: [1, 2]}]}, prefill: a"), .badValue, at: "4:52", "in 2", "1 device")
        refuses(four("sample: {replicas: [a]}"), .unknownKey, at: "4:19", "it runs on the host")
        refuses(four("prefill: {replicas: [a, b]}, decode: {replicas: [a, b]}") + "routing: disaggregated", .graph, at: "5:10", "both on a, b")
    }

    @Test("disaggregated routing on one device is refused")
    func disaggregatedOnOne() {
        refuses(small("routing: {mode: disaggregated}"), .graph, at: "4:17", "both on host")
    }

    @Test("a second stage of a kind is refused")
    func seconds() {
        refuses(small("stages:\n  decode: host\n  more: {kind: decode, device: host}"), .graph, at: "6:3", "more is a second decode")
        let tokenizer = "{kind: foreign, at: tokenize, library: a, signature: 'i64 t(u8*, u64, i32*, u64)'}"
        refuses(small("stages:\n  tokenize: {}\n  mine: \(tokenizer)"), .graph, at: "6:3", "second tokenize; tokenize is the first")
    }

    @Test("an edge between types that do not fit is refused")
    func types() {
        refuses(small("stages:\n  sample: {after: tokenize}"), .graph, at: "5:19", "sample takes logits, and stage tokenize gives tokens")
        refuses(small("stages:\n  prefill: {after: [tokenize, sample]}"), .graph, at: "5:31", "prefill takes tokens, and stage sample gives token")
    }

    @Test("an edge from a stage that does not exist is refused with the nearest")
    func absent() {
        refuses(small("stages:\n  sample: {after: decoed}"), .unknownName, at: "5:19", "did you mean \"decode\"?")
    }

    @Test("a cycle is refused with the stages on it")
    func cycles() {
        let filter = "kind: foreign, at: logits, library: a, signature: 'i32 f(f32*, u64, i32*, u64)'"
        refuses(small("stages:\n  a: {after: b, \(filter)}\n  b: {after: a, \(filter)}"), .graph, at: "5:14", "cycle: a -> b -> a")
        refuses(small("stages:\n  a: {after: a, \(filter)}"), .graph, at: "5:14", "cycle: a -> a")
        refuses(
            small("stages:\n  tokenize: {after: detokenize}"), .graph, at: "5:21",
            "cycle: tokenize -> prefill -> decode -> sample -> detokenize -> tokenize")
        refuses(small("stages:\n  decode: {after: sample}"), .graph, at: "5:19", "cycle: decode -> sample -> decode")
    }

    @Test("edges that say what is already so change nothing")
    func restated() throws {
        let plain = try graph(small(""))
        let stated = try graph(small("stages: {sample: {after: [prefill, decode]}, detokenize: {after: sample}}"))
        #expect(plain.nodes.map(\.name) == stated.nodes.map(\.name) && plain.edges == stated.edges)
    }
}
