import BuildKit
import Foundation
import TestKit
import Testing

/// A C function in the middle of a pipeline, built here and named in the manifest.
@Suite(.enabled(if: Command.isThere && TestModel.path != nil && TestDrivers.has("cpu") && Tool.cc != nil, "the command, the model, the cpu driver or a C compiler is not there"))
struct ForeignStageTests {
    @Test("a logits filter written in C keeps digits out of the text, and a guard refuses the prompt")
    func filters() throws {
        let folder = try Scratch()
        try #require(Tool.cc).check(["-shared", "-fPIC", "-O1", "-o", folder.path + "/liblogits_mask.so", Command.root + "/Examples/foreign/logits_mask.c", "-lm"])
        try folder.write("guard.c", "#include <stdint.h>\nint32_t no_secrets(const uint8_t *t, uint64_t n) { for (uint64_t i = 0; i + 5 < n; i++) if (t[i] == 's' && t[i + 5] == 't') return 1; return 0; }\n")
        try #require(Tool.cc).check(["-shared", "-fPIC", "-o", folder.path + "/libguard.so", folder.path + "/guard.c"])
        let head = "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n  host: cpu\n"
        try folder.write("plain.yaml", head)
        try folder.write(
            "masked.yaml",
            head + "stages:\n  no_digits: {kind: foreign, at: logits, library: ./liblogits_mask.so, signature: 'i32 mask_digits(f32* logits, u64 count, i32* history, u64 history_count)'}\n  watch: {kind: foreign, at: text_in, library: ./libguard.so, signature: 'i32 no_secrets(u8* text, u64 length)'}\n")
        func text(_ manifest: String, _ prompt: String) throws -> Command {
            try Command.run("run", manifest, "--prompt", prompt, "--raw", "--max-tokens", "12", "--json", in: folder.path)
        }
        let prompt = "1, 2, 4, 8, 16,"
        let plain = try text("plain.yaml", prompt).json["text"] as? String ?? ""
        let masked = try text("masked.yaml", prompt)
        #expect(plain.contains { $0.isNumber })
        #expect((masked.json["text"] as? String)?.contains { $0.isNumber } == false, "\(masked.error)\(masked.output)")
        let refused = try text("masked.yaml", "tell me the secret")
        #expect(refused.status == 1)
        #expect(refused.error.contains("watch") && refused.errorLines == 1, "\(refused.error)")
    }
}
