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
