// SPDX-License-Identifier: Apache-2.0

extension SVGWriter {
    /// The colours of a picture.
    private struct Colours {
        var page, pageLine, ink, soft, lane, laneLine, host, box, boxLine, foreign, edge, hot, hotFill: String

        static let light = Colours(
            page: "#ffffff", pageLine: "#d8dee6", ink: "#16202c", soft: "#55616f", lane: "#eaf1fb", laneLine: "#b6c8e2", host: "#f4f5f7",
            box: "#ffffff", boxLine: "#7d92ad", foreign: "#f3ecfb", edge: "#5b6b7e", hot: "#c2410c", hotFill: "#fff1e6")
        static let dark = Colours(
            page: "#12171e", pageLine: "#2c3642", ink: "#e8eef5", soft: "#a5b2c1", lane: "#1a2635", laneLine: "#35506f", host: "#1a1f27",
            box: "#243142", boxLine: "#6c86a6", foreign: "#33284a", edge: "#93a4b8", hot: "#ff9248", hotFill: "#3a2415")

        var rules: String {
            """
            .page{fill:\(page);stroke:\(pageLine)} .lane{fill:\(lane);stroke:\(laneLine)} .host{fill:\(host);stroke:\(pageLine)}
            .box{fill:\(box);stroke:\(boxLine)} .foreign{fill:\(foreign)} .end{fill:none;stroke:\(boxLine);stroke-dasharray:3 3}
            .heading,.name,.lanetitle{fill:\(ink)} .note,.endtext,.type.cool{fill:\(soft)} .type.hot{fill:\(hot)}
            .edge{stroke:\(edge)} .edge.handoff{stroke:\(hot)} .head{fill:\(edge)} .head.hot{fill:\(hot)}
            .label.cool{fill:\(page);stroke:\(pageLine)} .label.hot{fill:\(hotFill);stroke:\(hot)}

            """
        }
    }

    static func style(_ theme: GraphPicture.Theme) -> String {
        let shapes = """
            text{font-family:Inter,"Segoe UI",Helvetica,Arial,"DejaVu Sans",sans-serif;font-size:11px}
            .heading{font-size:16px;font-weight:600} .name{font-size:14px;font-weight:600} .lanetitle{font-size:12px;font-weight:600}
            .endtext{font-size:14px} .strong{font-weight:600} .middle{text-anchor:middle}
            .edge{fill:none;stroke-width:1.6} .edge.handoff{stroke-width:3.2} .edge.feedback{stroke-dasharray:6 4}

            """
        switch theme {
        case .light: return shapes + Colours.light.rules
        case .dark: return shapes + Colours.dark.rules
        case .automatic: return shapes + Colours.light.rules + "@media (prefers-color-scheme:dark){\n\(Colours.dark.rules)}\n"
        }
    }

    static let markers = """
        <defs>
        <marker id="plain" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker>
        <marker id="soft" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker>
        <marker id="hot" viewBox="0 0 8 8" refX="6.5" refY="4" markerWidth="14" markerHeight="14" markerUnits="userSpaceOnUse" orient="auto"><path class="head hot" d="M0,0 L8,4 L0,8 z"/></marker>
        </defs>

        """
}
