import CPUKernels
import DriverKit
import Synchronization

/// Repacks the weights of a program: all of them as one job of the worker pool, in units that lie together in the file, whose pages are
/// fetched for it and let go after it, so that hardly more than the packed weights is ever in memory.
struct Packing: @unchecked Sendable {
    private struct Job {
        var weight: PreparedWeight
        var stored: Int32
        var source: UnsafeRawPointer
        var target: UnsafeMutableRawPointer
        var file: HostBuffer?
        /// Of the weight in the file, and bytes of a row.
        var offset, rowBytes: Int

        /// The bytes of some panels in the file.
        func range(_ panels: Range<Int>) -> Range<Int> {
            offset + panels.lowerBound * 16 * rowBytes..<offset + min(panels.upperBound * 16, weight.outputs) * rowBytes
        }
    }

    private struct Unit {
        var job: Int
        var panels: Range<Int>
    }

    private let kernels: Kernels
    private let numerics: Numerics
    private var next: UnsafeMutableRawPointer
    private var jobs: [Job] = []
    private var units: [Unit] = []
    /// Bytes of stored weights in a unit, about.
    private static let unitBytes = 1 << 20

    /// `room` has `aligned(PreparedWeight.packedBytes)` bytes for each weight that is added.
    init(kernels: Kernels, numerics: Numerics, into room: UnsafeMutableRawPointer) {
        self.kernels = kernels
        self.numerics = numerics
        next = room
    }

    static func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

    /// The weight of each operation, nil for those that are not linear. Nothing is packed yet.
    mutating func add(_ program: ProgramDescription) throws(DriverFailure) -> [PreparedWeight?] {
        var made: [Int: PreparedWeight] = [:]
        var all: [PreparedWeight?] = []
        for op in program.operations {
            guard op.kind == .linear else { all.append(nil); continue }
            if made[op.inputs[1]] == nil {
                let weight = try add(program.tensors[op.inputs[1]])
                made[op.inputs[1]] = weight
            }
            all.append(made[op.inputs[1]])
        }
        return all
    }

    private mutating func add(_ tensor: ProgramDescription.Tensor) throws(DriverFailure) -> PreparedWeight {
        let stored = try tensor.bytes()
        let (form, type) = PreparedWeight.form(tensor.dtype.kernelType, inputs: tensor.columns, numerics)
        if form == .rows { return PreparedWeight(form: form, type: type, base: stored, inputs: tensor.columns, outputs: tensor.rows) }
        let weight = PreparedWeight(form: form, type: type, base: next, inputs: tensor.columns, outputs: tensor.rows)
        let job = Job(
            weight: weight, stored: tensor.dtype.kernelType, source: stored, target: next, file: tensor.buffer as? HostBuffer, offset: tensor.offset,
            rowBytes: cpuk_bytes(tensor.dtype.kernelType, tensor.columns))
        let each = max(1, Self.unitBytes / max(1, job.rowBytes * 16))
        for first in stride(from: 0, to: weight.panelCount, by: each) {
            units.append(Unit(job: jobs.count, panels: first..<min(first + each, weight.panelCount)))
        }
        jobs.append(job)
        next += Self.aligned(weight.panelCount * weight.panelBytes)
        return weight
    }

    /// Packs all; `progress` hears fractions from any thread.
    func run(_ host: Host, progress: (Double) -> Void) {
        let done = Atomic<Int>(0)
        // How long a unit takes depends on what the system needs for its pages.
        host.each(units.count) { index, _ in
            pack(units[index])
            progress(Double(done.add(1, ordering: .relaxed).newValue) / Double(units.count))
        }
        for job in jobs { job.file?.release(job.range(0..<job.weight.panelCount)) }
        progress(1)
    }

    private func pack(_ unit: Unit) {
        let job = jobs[unit.job]
        let (weight, table, inputs) = (job.weight, kernels.table, job.weight.inputs)
        job.file?.fetch(job.range(unit.panels))
        withUnsafeTemporaryAllocation(of: Float.self, capacity: inputs) { row in
            for panel in unit.panels {
                let (width, place) = (min(16, weight.outputs - panel * 16), job.target + panel * weight.panelBytes)
                if weight.form == .packed { table.pointee.pack(weight.type, job.source, inputs, panel * 16, width, place) } else {
                    cpuk_pack_panel(table, job.stored, job.source, inputs, panel * 16, width, weight.type, place, row.baseAddress)
                }
            }
        }
        job.file?.release(job.range(unit.panels))
    }
}
