// SPDX-License-Identifier: Apache-2.0

extension Manifest {
    public enum StageKind: String, Hashable, Sendable, CaseIterable {
        case tokenize, prefill, decode, sample, detokenize, foreign

        /// Prefill and decode; the rest runs on the host.
        public var runsOnDevice: Bool { self == .prefill || self == .decode }
    }

    /// A stage as written.
    public struct Stage: Hashable, Sendable {
        public enum Split: Hashable, Sendable {
            /// As even as can be; decided where the number of layers is known.
            case layers
            /// Layers for each device, in order; each at least 1.
            case counts([Int])
        }

        /// A whole stage on devices of its own: what is written once where a stage has no replicas.
        public struct Replica: Hashable, Sendable {
            /// Empty when none is written.
            public let devices: [Located<String>]
            /// Nil when not written, which is `layers`.
            public let split: Located<Split>?
        }

        public let name: Located<String>
        public let kind: StageKind
        /// Prefill and decode: at least one. Others: none.
        public let replicas: [Replica]
        /// Set exactly when `kind` is foreign.
        public let foreign: Foreign?
        /// Stages that must come before this one.
        public let after: [Located<String>]
    }

    /// A C function of any shared library, called at a hook of the pipeline.
    public struct Foreign: Hashable, Sendable {
        /// A path as written, see `Manifest.resolve`, or a bare name (`libm.so.6`) for the loader to find.
        public let library: Located<String>
        /// The symbol.
        public let function: Located<String>
        /// Proven to be what `hook` calls.
        public let signature: Located<StageSignature>
        public let hook: Located<ForeignHook>

        /// The signature with the symbol's name in it, which is what a caller of C functions asks for.
        public var boundSignature: StageSignature {
            StageSignature(returnType: signature.value.returnType, name: function.value, parameters: signature.value.parameters)
        }
    }
}
