/// What queued work waits for and signals; the Swift side of `baton_sync`, resolved.
public struct Sync: Sendable {
    public var waits: [Point] = []
    public var signals: [Point] = []
    /// Which queue of the device.
    public var queue = 0
    /// Reaches `layerBase + i + 1` as the KV of the program's i-th layer is complete.
    public var layers: Timeline?
    public var layerBase: UInt64 = 0
    /// True when the caller gave none: the work runs at once and the call blocks until it has ended.
    public var isImmediate = false

    public init(waits: [Point] = [], signals: [Point] = [], queue: Int = 0, layers: Timeline? = nil, layerBase: UInt64 = 0) {
        self.waits = waits
        self.signals = signals
        self.queue = queue
        self.layers = layers
        self.layerBase = layerBase
    }

    public static var immediate: Sync {
        var sync = Sync()
        sync.isImmediate = true
        return sync
    }

    /// Says that the KV of the program's i-th layer, counted from 0, is complete in the pool. Layers are signalled in order.
    public func signalLayer(_ index: Int, _ times: Times) {
        guard let layers else { return }
        Sync.reach(layers, layerBase &+ UInt64(index) &+ 1, times)
    }

    /// Signals from finished work: a value that is reached already, or a timeline that has failed, stays as it is.
    static func reach(_ timeline: Timeline, _ value: UInt64, _ times: Times) {
        do throws(DriverFailure) { try timeline.signal(value, times) } catch { return }
    }

    func succeed(_ times: Times) {
        for point in signals { Sync.reach(point.timeline, point.value, times) }
    }

    func fail(_ failure: DriverFailure) {
        layers?.fail(failure)
        for point in signals { point.timeline.fail(failure) }
    }
}
