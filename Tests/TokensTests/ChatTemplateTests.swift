import Foundation
import Testing

@testable import Tokens

struct ChatTemplateTests {
    private struct Golden: Decodable {
        struct Case: Decodable {
            struct Turn: Decodable {
                var role: String
                var content: String
            }
            var messages: [Turn]
            var add_generation_prompt: Bool
            var text: String
        }
        var cases: [Case]
    }

    /// The default model's own.
    private static let smollm = """
        {% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
        You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
        ' }}{% endif %}{{'<|im_start|>' + message['role'] + '
        ' + message['content'] + '<|im_end|>' + '
        '}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
        ' }}{% endif %}
        """

    @Test("the default model's template gives what Hugging Face gives")
    func golden() throws {
        let path = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Fixtures/chat.json"
        let cases = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: URL(fileURLWithPath: path))).cases
        #expect(cases.count >= 4)
        let template = try ChatTemplate(source: Self.smollm)
        for one in cases {
            let messages = one.messages.map { ChatMessage(role: $0.role, content: $0.content) }
            #expect(try template.render(messages, addingGenerationPrompt: one.add_generation_prompt) == one.text)
        }
    }

    private func render(_ source: String, _ messages: [ChatMessage] = [ChatMessage(role: "user", content: " Hi ")]) throws -> String {
        try ChatTemplate(source: source, bos: "<s>", eos: "</s>").render(messages, addingGenerationPrompt: true)
    }

    @Test("statements, filters, slices and white space follow Jinja with trimmed blocks")
    func subset() throws {
        #expect(try render("{{ bos_token }}{{ messages[0]['content'] | trim }}") == "<s>Hi")
        #expect(try render("{% for m in messages %}\n{{ m.role }}\n{% endfor %}\n") == "user\n")
        #expect(try render("  {% if messages|length == 1 %}\none\n  {% else %}many{% endif %}") == "one\n")
        #expect(try render("a  {{- ' b ' -}}  c") == "a b c")
        #expect(try render("{% set x = messages[1:] %}{{ 'none' if not x else 'some' }}") == "none")
        #expect(try render("{{ messages[-1].content.strip().upper() }}") == "HI")
        #expect(try render("{{ loop }}") == "")
        #expect(try render("{% for m in messages %}{{ loop.index0 }}{{ loop.last }}{% endfor %}") == "0True")
    }

    @Test("what is outside the subset is refused with its line", arguments: [
        ("a\n{% macro x() %}{% endmacro %}", "line 2"), ("{{ namespace(x=1) }}", "namespace"), ("{{ 'a' | tojson }}", "tojson"), ("{{ 'open", "line 1"),
        ("{% for x in messages %}", "ends"), ("{% if true %}a{% else %}b{% else %}c{% endif %}", "else"), (String(repeating: "(", count: 500), ""),
        ("{{ " + String(repeating: "(", count: 500) + "1" + String(repeating: ")", count: 500) + " }}", "deep"),
    ])
    func refused(source: String, part: String) {
        do throws(TokensError) {
            _ = try ChatTemplate(source: source)
            #expect(!source.contains("{"), "\(source.prefix(40)) was taken")
        } catch {
            #expect(error.words.contains(part), "\(error)")
            #expect(!error.words.contains("\n"))
        }
    }

    @Test("a template that raises refuses the messages with its words")
    func raises() throws {
        let template = try ChatTemplate(source: "{% if messages[0]['role'] != 'user' %}{{ raise_exception('start with a user') }}{% endif %}ok")
        #expect(throws: TokensError("the chat template refuses the messages: start with a user")) {
            try template.render([ChatMessage(role: "system", content: "")], addingGenerationPrompt: false)
        }
    }
}
