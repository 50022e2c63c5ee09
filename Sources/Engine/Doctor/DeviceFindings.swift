public import Driver
import Glibc

/// What an open device costs to talk to and to move bytes to: wall times, measured on this host.
public struct DeviceFindings: Sendable, Encodable {
    public var device: String
    public var driver: String
    public var name: String
    public var engine: String
    public var clock: String
    /// The median nanoseconds of a call through the contract that does next to nothing (`health`).
    public var callNanoseconds: Double?
    /// Bytes a second of writing host memory into a buffer of the device, and back.
    public var writeBytesPerSecond: Double?
    public var readBytesPerSecond: Double?
    /// What could not be measured, in the driver's words.
    public var remarks: [String]

    private static let calls = 2_000
    private static let rounds = 9
    private static let copyBytes = 32 << 20

    public init(measuring device: Device) {
        self.device = device.label
        driver = device.library.name
        name = device.info.name
        engine = device.info.engine.rawValue
        clock = device.info.clock.rawValue
        remarks = []
        do throws(DriverError) { callNanoseconds = try Self.callTime(device) } catch { remarks.append("calls: \(error.detail)") }
        do throws(DriverError) { (writeBytesPerSecond, readBytesPerSecond) = try Self.copies(device) } catch { remarks.append("copies: \(error.detail)") }
    }

    private static func callTime(_ device: Device) throws(DriverError) -> Double {
        var times: [Double] = []
        for _ in 0..<rounds {
            let start = WallClock.now
            for _ in 0..<calls { try device.checkHealth() }
            times.append(Double(WallClock.now - start) / Double(calls))
        }
        return times.sorted()[times.count / 2]
    }

    private static func copies(_ device: Device) throws(DriverError) -> (write: Double, read: Double) {
        let count = Int(min(UInt64(copyBytes), max(4_096, device.info.memoryBytes / 4)))
        let buffer = try Buffer(allocating: count, on: device)
        let region = try HostRegion(count: count)
        region.bytes.initializeMemory(as: UInt8.self, repeating: 0x5A)
        var best: (write: UInt64, read: UInt64) = (.max, .max)
        for _ in 0..<5 {
            let start = WallClock.now
            try buffer.write(UnsafeRawBufferPointer(region.bytes))
            let middle = WallClock.now
            try buffer.read(into: region.bytes)
            best = (min(best.write, middle - start), min(best.read, WallClock.now - middle))
        }
        return (Double(count) / Double(max(1, best.write)) * 1e9, Double(count) / Double(max(1, best.read)) * 1e9)
    }
}
