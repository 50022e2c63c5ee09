// SPDX-License-Identifier: Apache-2.0

/// A pipeline as its writer states it: which model, on which devices, in which stages. Every value is of its type and in its range; that they
/// fit each other is what `Graph` proves. A value with its source, free to copy and to send.
public struct Manifest: Hashable, Sendable {
    /// The version of the format that this Baton reads.
    public static let version = 1

    /// As the caller named it; for messages, and for the paths in the manifest.
    public let file: String
    public let model: Located<Model>
    /// In the order written; at least one.
    public let devices: [Device]
    /// The stages that are written, in their order. Those left out are added by `Graph`.
    public let stages: [Stage]
    /// Where `stages:` stands, if it does.
    let stagesPosition: SourcePosition?
    public let handoff: Handoff
    public let routing: Located<Routing>
    /// Tokens of one request at most, prompt and completion; nil for the model's own context.
    public let context: Located<Int>?
    public let sampling: Sampling
    /// Nil where nothing is asked for.
    public internal(set) var trust: Trust?

    /// Reads the file at `path`. Blocks for the reading. Errors: unreadable or larger than 1 MiB, and all those of `init(bytes:file:)`.
    public init(contentsOf path: String) throws(ManifestError) {
        self = try ManifestReader.read(SourceText(contentsOf: path))
    }

    /// Reads a manifest of YAML or JSON from memory; `file` is its name in messages. Pure.
    public init(bytes: [UInt8], file: String) throws(ManifestError) {
        self = try ManifestReader.read(SourceText(bytes, file: file))
    }

    public init(text: String, file: String) throws(ManifestError) {
        try self.init(bytes: Array(text.utf8), file: file)
    }

    init(
        file: String, model: Located<Model>, devices: [Device], stages: [Stage], stagesPosition: SourcePosition?, handoff: Handoff,
        routing: Located<Routing>, context: Located<Int>?, sampling: Sampling
    ) {
        self.file = file
        self.model = model
        self.devices = devices
        self.stages = stages
        self.stagesPosition = stagesPosition
        self.handoff = handoff
        self.routing = routing
        self.context = context
        self.sampling = sampling
    }

    /// A path written in the manifest, which is relative to the manifest's folder, as one relative to where the caller is.
    public func resolve(_ path: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        let inner = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        return String(file[...slash]) + inner
    }
}

extension Manifest {
    public enum Model: Hashable, Sendable {
        /// A name in the model cache.
        case named(String)
        /// A `.gguf` or `.shape.json` file, as written; see `resolve`.
        case file(String)

        /// A text with a slash or one of the two endings is a path.
        init(_ text: String) {
            let isPath = text.contains("/") || text.hasSuffix(".gguf") || text.hasSuffix(".shape.json")
            self = isPath ? .file(text) : .named(text)
        }

        /// As written.
        public var text: String {
            switch self {
            case .named(let text), .file(let text): text
            }
        }
    }

    public struct Device: Hashable, Sendable {
        /// A value that the device's driver reads and checks. `1` and `"1"` are the same text.
        public struct Option: Hashable, Sendable {
            public let name: Located<String>
            public let value: Located<String>
        }

        public let name: Located<String>
        /// A driver's name; with a '/', the path of its `.so` or `.driver.json`, see `Manifest.resolve`.
        public let driver: Located<String>
        public let options: [Option]
        /// Nil where nothing is written.
        public internal(set) var isolation: Isolation?
    }

    public enum Routing: String, Hashable, Sendable, CaseIterable {
        /// The drivers' costs decide, request by request.
        case auto
        case disaggregated, aggregated
    }

    /// How KV state goes from prefill to decode.
    public struct Handoff: Hashable, Sendable {
        public enum Overlap: String, Hashable, Sendable, CaseIterable {
            /// A layer leaves as soon as prefill has completed it.
            case layer
            /// Everything leaves once prefill has ended.
            case none
        }
        /// The element type on the wire.
        public enum DType: String, Hashable, Sendable, CaseIterable {
            /// What the two devices agree on with the least conversion.
            case auto
            case f32, f16, bf16
        }
        public enum OnFailure: String, Hashable, Sendable, CaseIterable {
            /// The decode device computes the prompt itself.
            case recompute
            /// The request fails.
            case fail
        }

        public let overlap: Located<Overlap>
        public let dtype: Located<DType>
        public let checksum: Located<Bool>
        /// How long the handoff may take after prefill has ended: 1 ms to 1 h.
        public let deadline: Located<Duration>
        public let onFailure: Located<OnFailure>

        public init(
            overlap: Located<Overlap> = Located(.layer), dtype: Located<DType> = Located(.auto), checksum: Located<Bool> = Located(true),
            deadline: Located<Duration> = Located(.seconds(2)), onFailure: Located<OnFailure> = Located(.recompute)
        ) {
            self.overlap = overlap
            self.dtype = dtype
            self.checksum = checksum
            self.deadline = deadline
            self.onFailure = onFailure
        }

        /// The deadline in nanoseconds.
        public var deadlineNanoseconds: UInt64 {
            let parts = deadline.value.components
            let nanoseconds = parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
            return UInt64(clamping: nanoseconds)
        }
    }

    /// What a request samples with where it does not say. Nil leaves the choice to the sampler.
    public struct Sampling: Hashable, Sendable {
        /// Zero or more; zero is greedy.
        public let temperature: Located<Double>?
        /// Zero keeps every token.
        public let topK: Located<Int>?
        /// More than 0, at most 1.
        public let topP: Located<Double>?
        /// 0 to 1.
        public let minP: Located<Double>?
        /// More than 0; 1 changes nothing.
        public let repetitionPenalty: Located<Double>?
        public let seed: Located<UInt64>?

        public init(
            temperature: Located<Double>? = nil, topK: Located<Int>? = nil, topP: Located<Double>? = nil, minP: Located<Double>? = nil,
            repetitionPenalty: Located<Double>? = nil, seed: Located<UInt64>? = nil
        ) {
            self.temperature = temperature
            self.topK = topK
            self.topP = topP
            self.minP = minP
            self.repetitionPenalty = repetitionPenalty
            self.seed = seed
        }
    }
}
