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

    /// The heads of arrows.
    static let markers = "<defs>\n" + marker("plain", "head", size: 9, tip: 7) + marker("hot", "head hot", size: 14, tip: 6.5) + "</defs>\n"

    private static func marker(_ name: String, _ style: String, size: Int, tip: Double) -> String {
        let frame = "viewBox=\"0 0 8 8\" refX=\"\(tip)\" refY=\"4\" markerWidth=\"\(size)\" markerHeight=\"\(size)\""
        let path = "<path class=\"\(style)\" d=\"M0,0 L8,4 L0,8 z\"/>"
        return "<marker id=\"\(name)\" \(frame) markerUnits=\"userSpaceOnUse\" orient=\"auto\">\(path)</marker>\n"
    }
}
