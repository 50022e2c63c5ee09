// SPDX-License-Identifier: Apache-2.0

extension Tokenizer {
    /// The token ids of `text`. No `bos` is added.
    /// - Parameter parsingSpecials: whether a special token written in the text is that token. Pass false for text that
    ///   an untrusted user wrote.
    public func encode(_ text: String, parsingSpecials: Bool = true) -> [Int32] {
        var text = text
        return text.withUTF8 { encodeValid($0, parsingSpecials) }
    }

    /// The token ids of UTF-8 bytes. No `bos` is added.
    /// - Throws: when the bytes are not UTF-8, with the offset of the first that is not.
    public func encode(utf8 bytes: [UInt8], parsingSpecials: Bool = true) throws(TokensError) -> [Int32] {
        try bytes.withUnsafeBufferPointer { (bytes) throws(TokensError) in
            try encode(utf8: bytes, parsingSpecials: parsingSpecials)
        }
    }

    /// The token ids of UTF-8 bytes, which are only read during the call. No `bos` is added.
    /// - Throws: when the bytes are not UTF-8, with the offset of the first that is not.
    public func encode(utf8 bytes: UnsafeBufferPointer<UInt8>, parsingSpecials: Bool = true) throws(TokensError) -> [Int32] {
        let failure: UTF8.ValidationError
        do {
            _ = try UTF8Span(validating: bytes.span)
            return encodeValid(bytes, parsingSpecials)
        } catch {
            failure = error
        }
        throw TokensError(
            "the text is not UTF-8: byte \(failure.byteOffsets.lowerBound) of \(bytes.count) starts no character, encode it as UTF-8")
    }

    private func encodeValid(_ text: UnsafeBufferPointer<UInt8>, _ parsingSpecials: Bool) -> [Int32] {
        var output: [Int32] = [], merger = merger, position = 0
        output.reserveCapacity(text.count / 4 + 8)
        while parsingSpecials, let special = specials.next(from: position, in: text) {
            append(text[position..<special.start], &merger, &output)
            output.append(special.id)
            position = special.end
        }
        append(text[position...], &merger, &output)
        return output
    }

    /// Appends the tokens of text between special tokens.
    private func append(_ part: Slice<UnsafeBufferPointer<UInt8>>, _ merger: inout BytePairMerger, _ output: inout [Int32]) {
        let text = UnsafeBufferPointer(rebasing: part)
        var start = 0
        while start < text.count {
            let end = preTokenizer.pieceEnd(from: start, in: text)
            merger.append(UnsafeBufferPointer(rebasing: text[start..<end]), to: &output)
            start = end
        }
    }
}
