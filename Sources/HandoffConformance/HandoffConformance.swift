public import Driver
public import DriverConformance
public import Model

/// A driver's library, and the options its device is opened with.
public struct HandoffSubject: Sendable {
    public var path: String
    public var options: [(String, String)]

    public init(path: String, options: [(String, String)] = []) {
        self.path = path
        self.options = options
    }

    /// "acme" of /a/libbaton-acme.so.
    public var name: String {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        return file.hasPrefix("libbaton-") && file.hasSuffix(".so") ? String(file.dropFirst(9).dropLast(3)) : file
    }
}

/// "Prefill on A, decode on B equals A alone", for every ordered pair of some drivers, each with itself included.
public struct HandoffConformance: Sendable {
    public var subjects: [HandoffSubject]

    public init(_ subjects: [HandoffSubject]) { self.subjects = subjects }

    /// One for each rule and ordered pair, to be run in child processes.
    public var rules: [Rule] {
        subjects.indices.flatMap { a in
            subjects.indices.flatMap { b in
                HandoffRule.all.map { rule in
                    Rule(id: "\(rule.id):\(a)-\(b)", header: "\(subjects[a].name) to \(subjects[b].name)", sentence: rule.sentence)
                }
            }
        }
    }

    /// In a child: checks the rule with this id of `rules`, reports to the parent, and gives the exit status; nil where there is none.
    public func check(_ id: String, model: ModelFile?, search: DriverSearch = .standard()) -> Int32? {
        let parts = id.split(separator: ":")
        let indices = (parts.count == 2 ? parts[1].split(separator: "-") : []).compactMap { Int($0) }
        guard let rule = HandoffRule.all.first(where: { $0.id == parts.first.map(String.init) }), indices.count == 2,
            indices.allSatisfy(subjects.indices.contains)
        else { return nil }
        return Suite.report {
            let models = try model.map { [($0.name, $0)] } ?? SmallModel.all.map { ($0.name, try $0.file()) }
            let pair = try HandoffPair(subjects[indices[0]], subjects[indices[1]], models: models, catalog: DriverCatalog(search: search))
            return try rule.check(pair)
        }
    }
}
