import Glibc
public import Model
public import Tokens

/// The real model, where it is.
public enum TestModel {
    /// BATON_TEST_MODEL, or the default model in the cache; nil when neither is there.
    public static var path: String? {
        func text(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
        let cache = text("BATON_MODELS") ?? (text("XDG_CACHE_HOME") ?? (text("HOME") ?? "") + "/.cache") + "/baton/models"
        return [text("BATON_TEST_MODEL"), cache + "/smollm2-135m-instruct.gguf"].compactMap { $0 }.first { access($0, R_OK) == 0 }
    }

    public static func open() throws -> ModelFile { try ModelFile(path: path ?? "") }

    public static func tokenizer(_ file: GGUFFile) throws -> Tokenizer {
        try Tokenizer(
            Vocabulary(
                tokens: file.byteStrings("tokenizer.ggml.tokens"), types: file.int32s("tokenizer.ggml.token_type"),
                merges: file.byteStrings("tokenizer.ggml.merges"), pre: file.string("tokenizer.ggml.pre"),
                model: file.string("tokenizer.ggml.model"), bos: 1, eos: 2, addsBOS: false))
    }
}
