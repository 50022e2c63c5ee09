// SPDX-License-Identifier: Apache-2.0

/// Lines of text to show in a picture of a graph beside what the graph itself says: bytes, modelled times, conversions.
public struct GraphAnnotations: Hashable, Sendable {
    /// By the name of the stage.
    public var nodes: [String: [String]]
    /// By the name of the device.
    public var devices: [String: [String]]
    public var edges: [Graph.Edge: [String]]
    /// Under the picture.
    public var footer: [String]

    public init(
        nodes: [String: [String]] = [:], devices: [String: [String]] = [:], edges: [Graph.Edge: [String]] = [:], footer: [String] = []
    ) {
        self.nodes = nodes
        self.devices = devices
        self.edges = edges
        self.footer = footer
    }
}
