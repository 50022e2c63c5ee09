/// A report drawn: a table, throughput by load, latencies by percentile, and how each load went over its time.
struct LoadPicture {
    private static let margin = 32.0
    private static let width = 1000.0
    private let report: LoadReport
    private var canvas = Canvas(width: Self.width)
    private var y = 0.0

    private init(_ report: LoadReport) { self.report = report }

    static func svg(_ report: LoadReport) -> String {
        var picture = LoadPicture(report)
        picture.head()
        picture.table()
        picture.notes()
        picture.throughput()
        picture.latencies()
        picture.courses()
        return picture.canvas.svg(height: picture.y + Self.margin, label: "\(report.name) under load at \(report.url)")
    }

    private func colour(_ index: Int) -> String { "c\(index % Canvas.colours)" }

    private mutating func head() {
        canvas.text(Self.margin, 48, "\(report.name) under load", "title")
        canvas.text(Self.margin, 70, [report.url, report.workload, report.date].filter { !$0.isEmpty }.joined(separator: "  ·  "), "dim")
        y = 70
        guard let level = report.level else { return }
        canvas.text(Self.margin, 90, "good: \(level.description)", "dim")
        y = 90
    }

    private mutating func table() {
        let rows = report.table
        let columns = Double(rows[0].count - 1)
        let (first, right) = (130.0, Self.width - Self.margin)
        func x(_ column: Int) -> Double { Self.margin + first + (right - Self.margin - first - 8) * Double(column) / columns }
        y += 36
        for (number, row) in rows.enumerated() {
            if number % 2 == 1 { canvas.rectangle(Self.margin, y - 17, Self.width - 2 * Self.margin, 25, "row") }
            if number > 0 { canvas.rectangle(Self.margin + 8, y - 9, 10, 10, colour(number - 1)) }
            canvas.text(Self.margin + 26, y, row[0], number == 0 ? "dim" : "head")
            for (column, cell) in row.enumerated().dropFirst() {
                canvas.text(x(column), y, cell, number == 0 ? "dim" : "figure", anchor: .end)
            }
            y += 25
        }
    }

    private mutating func notes() {
        for note in report.notes {
            y += 18
            canvas.text(Self.margin + 8, y, note, "dim")
        }
    }

    private mutating func throughput() {
        y += 48
        canvas.text(Self.margin, y, "Output tokens a second, all requests together", "head")
        let axis = Axis(upTo: report.loads.map(\.outputRate).max() ?? 0)
        let (left, right) = (Self.margin + 130, Self.width - Self.margin - 80)
        for (number, load) in report.loads.enumerated() {
            y += 24
            canvas.text(left - 10, y, load.pattern.label, "", anchor: .end)
            let length = axis.share(load.outputRate) * (right - left)
            canvas.rectangle(left, y - 13, length, 17, colour(number), title: "\(Figure.short(load.outputRate)) tok/s")
            canvas.text(left + length + 8, y, Figure.short(load.outputRate), "figure")
        }
    }

    private mutating func latencies() {
        y += 52
        let width = (Self.width - 3 * Self.margin) / 2
        let titles: [(ServiceLevel.Measure, String)] = [
            (.ttft, "Time to the first token, by percentile"), (.itl, "Time between tokens, by percentile"),
            (.tpot, "Time per token after the first, by percentile"), (.e2e, "Time to the end, by percentile"),
        ]
        for (number, (measure, title)) in titles.enumerated() {
            let x = Self.margin + Double(number % 2) * (width + Self.margin)
            percentiles(measure, title, x, y + Double(number / 2) * 264, width)
        }
        y += 264 * 2 - 30
    }

    /// A curve for each load from the least to 99 of a hundred.
    private mutating func percentiles(_ measure: ServiceLevel.Measure, _ title: String, _ x: Double, _ top: Double, _ width: Double) {
        let (left, right, high, low) = (x + 56, x + width - 8, top + 18, top + 196)
        canvas.text(x, top, title, "head")
        let bound = report.level?.bound(measure).map { Double($0) }
        let most = report.loads.compactMap { $0.at(99, measure) }.max() ?? 0
        let (unit, name) = most >= 10e9 ? (1e9, " s") : (1e6, " ms")
        let axis = Axis(upTo: max(most, min(bound ?? 0, most * 3)) / unit)
        for tick in axis.ticks {
            let at = low - axis.share(tick) * (low - high)
            canvas.line([(left, at), (right, at)], "grid")
            canvas.text(left - 8, at + 4, Figure.short(tick) + (tick == axis.most ? name : ""), "dim figure", anchor: .end)
        }
        for tick in [0.0, 25, 50, 75, 99] {
            canvas.text(left + tick / 99 * (right - left), low + 18, "p\(Int(tick))", "dim figure", anchor: tick == 99 ? .end : .middle)
        }
        for (number, load) in report.loads.enumerated() {
            var points: [(x: Double, y: Double)] = []
            for percentile in 0...99 {
                guard let value = load.at(Double(percentile), measure) else { continue }
                points.append((left + Double(percentile) / 99 * (right - left), low - axis.share(value / unit) * (low - high)))
            }
            canvas.line(points, colour(number))
        }
        guard let bound, bound / unit <= axis.most else { return }
        let at = low - axis.share(bound / unit) * (low - high)
        canvas.line([(left, at), (right, at)], "bound")
        canvas.text(left + 6, at - 5, "bound \(Figure.time(bound))", "boundText")
    }

    /// For each load: tokens a second, and requests on their way, over its time.
    private mutating func courses() {
        y += 40
        let width = (Self.width - 3 * Self.margin) / 2
        canvas.text(Self.margin, y, "Tokens a second, over each load's time", "head")
        canvas.text(2 * Self.margin + width, y, "Requests on their way", "head")
        for (number, load) in report.loads.enumerated() where !load.texts.isEmpty {
            y += 18
            let bin = load.seconds / Double(load.texts.count)
            course(smoothed(load.texts.map { Double($0) / bin }), load, number, Self.margin, width)
            course(load.inFlight.map(Double.init), load, number, 2 * Self.margin + width, width)
            y += 64
        }
    }

    private func smoothed(_ values: [Double]) -> [Double] {
        values.indices.map { index in
            let part = values[max(0, index - 1)...min(values.count - 1, index + 1)]
            return part.reduce(0, +) / Double(part.count)
        }
    }

    private mutating func course(_ values: [Double], _ load: LoadSummary, _ number: Int, _ x: Double, _ width: Double) {
        let (left, right, high, low) = (x + 90, x + width - 46, y, y + 50)
        let most = values.max() ?? 0
        canvas.text(x, low - 20, load.pattern.label, "")
        canvas.line([(left, low), (right, low)], "axis")
        var points: [(x: Double, y: Double)] = []
        for (index, value) in values.enumerated() {
            let share = most > 0 ? value / most : 0
            points.append((left + (Double(index) + 0.5) / Double(values.count) * (right - left), low - share * (low - high)))
        }
        canvas.area(points, floor: low, colour(number))
        canvas.line(points, colour(number))
        canvas.text(right + 6, high + 10, Figure.short(most), "dim figure")
        canvas.text(right, low + 13, "\(Figure.short(load.seconds)) s", "dim figure", anchor: .end)
    }
}

extension LoadReport {
    /// The model's name, without the folders of one that is a path.
    var name: String { model.split(separator: "/").last.map(String.init) ?? model }

    /// The report as a picture.
    public var svg: String { LoadPicture.svg(self) }

    /// The report as a page: the picture, and the same figures as a table that can be copied.
    public var html: String {
        let rows = table.enumerated().map { number, row in
            let tag = number == 0 ? "th" : "td"
            return "<tr>" + row.map { "<\(tag)>\(Canvas.escaped($0))</\(tag)>" }.joined() + "</tr>"
        }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(Canvas.escaped(name)) under load</title>
            <style>
            :root{color-scheme:light dark}body{margin:0 auto;max-width:1000px;font:14px system-ui,sans-serif;background:#fff;color:#1f2933}
            svg{width:100%;height:auto}.table{overflow-x:auto;margin:0 32px 32px}table{border-collapse:collapse;width:100%}
            th,td{padding:4px 8px;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}th{font-weight:500}
            tr{border-bottom:1px solid #d5dce4}@media (prefers-color-scheme:dark){body{background:#11161c;color:#e4e9ef}tr{border-color:#26303a}}
            </style></head><body>
            \(svg)<div class="table" tabindex="0" role="region" aria-label="The figures"><table>\(rows.joined(separator: "\n"))</table></div>
            </body></html>

            """
    }
}
