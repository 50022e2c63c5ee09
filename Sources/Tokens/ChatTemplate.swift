/// A model's chat template: the part of Jinja that such templates are written in, rendered as Hugging Face renders it
/// (trim_blocks and lstrip_blocks on, one newline at the template's end dropped).
///
/// Statements: for (with loop.first, last, index, index0, length), if / elif / else, set. Expressions: literals, names, attributes, indices,
/// slices, + ~ - == != < > <= >= in, and / or / not, `a if b else c`, is [not] defined / none / string, filters trim, length, count, upper, lower,
/// default, methods strip, upper, lower, startswith, endswith, raise_exception(). Anything else is refused when the template is read.
public struct ChatTemplate: Sendable {
    private let body: [TemplateNode]
    private let bos: String
    private let eos: String

    /// - Throws: what the template uses that is not known, and its line.
    public init(source: String, bos: String = "", eos: String = "") throws(TokensError) {
        var parser = TemplateParser(tokens: try TemplateLexer(source).tokens())
        body = try parser.template()
        self.bos = bos
        self.eos = eos
    }

    /// The prompt's text. Throws what the template itself raises, or what it asks of a message that is not there.
    public func render(_ messages: [ChatMessage], addingGenerationPrompt: Bool) throws(TokensError) -> String {
        let turns = messages.map { TemplateValue.object(["role": .text($0.role), "content": .text($0.content)]) }
        var evaluator = TemplateEvaluator(variables: [
            "messages": .list(turns), "add_generation_prompt": .boolean(addingGenerationPrompt), "bos_token": .text(bos), "eos_token": .text(eos),
        ])
        try evaluator.run(body)
        return evaluator.output
    }
}
