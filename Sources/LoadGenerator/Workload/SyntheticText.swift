/// Text without meaning and of a known number of words. Each of the words is one token to most tokenizers, so that words about count tokens.
enum SyntheticText {
    static let words = """
        time year people way day man thing woman life child world school state family student group country problem hand part place case week \
        company system program question work government number night point home water room mother area money story fact month lot right study \
        book eye job word business issue side kind head house service friend father power hour game line end member law car city name team \
        minute idea body information back parent face others level office door health person art war history party result change morning reason \
        research girl guy moment air teacher force education foot boy age policy music market sense nation plan college interest death \
        experience effect use class control field development role effort rate heart drug show leader light voice wife police mind price report \
        decision son view relationship town road arm difference value building action season society tax director position player record paper \
        space ground form event official matter center couple site project activity star table need court oil situation cost industry figure \
        street image phone data picture practice piece land product doctor wall patient worker news test movie north love support technology \
        step baby computer type attention film tree source organization hair look window culture chance brother energy period course summer \
        plant opportunity term letter condition choice rule south husband floor campaign material population call economy hospital church risk \
        fire future bank west sport board subject officer rest behavior performance top goal second bed order author blood agency nature color \
        store sound movement page race concern series language response animal factor decade article east artist scene stock career treatment
        """.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)

    /// `count` words, joined by spaces; the same of the same seed and stream.
    static func text(words count: Int, seed: UInt64, stream: UInt64) -> String {
        var generator = SeededGenerator(seed: seed, stream: stream)
        var text = ""
        text.reserveCapacity(count * 7)
        for index in 0..<max(0, count) {
            if index > 0 { text += " " }
            text += words[Int(generator.next() % UInt64(words.count))]
        }
        return text
    }
}
