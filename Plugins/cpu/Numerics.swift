import CPUKernels
import DriverKit
import Glibc

/// How linear operations compute.
enum Numerics: String, CaseIterable {
    /// Quantised weights by activations in int8 blocks of 32, integer products, f32 sums over blocks; attention in bf16 where the
    /// processor multiplies it, else in f32; f32 sums.
    case native
    /// Weights dequantised exactly, activations as they are, f32.
    case f32
    /// Both operands rounded to nearest even; products exact, sums f32.
    case bf16, f16

    /// Whether attention may round its operands to bf16, where the processor multiplies them so.
    var attendsInBF16: Bool { self == .native || self == .bf16 }

    /// The type plain weights are kept in at 16 bits; nil when they are not.
    var residentDType: DType? {
        switch self {
        case .native, .f32: nil
        case .bf16: .bf16
        case .f16: .f16
        }
    }

    /// What KV is kept in when nothing else is asked for.
    var kvDType: DType {
        switch self {
        case .f16: .f16
        case .f32: .f32
        case .native, .bf16: .bf16
        }
    }
}

/// The kernels of an instruction set, chosen when a device opens: what the option `isa` names, else what the environment's BATON_CPU_ISA
/// names, else the best the processor has.
struct Kernels: @unchecked Sendable {
    let table: UnsafePointer<cpuk_table>
    let name: String

    /// By cpuk_isa.
    static let names = ["scalar", "avx2", "avx512", "avx512bf16"]

    init(_ option: String) throws(DriverFailure) {
        let forced = getenv("BATON_CPU_ISA").map { String(cString: $0) } ?? ""
        let (source, wanted) = option == "auto" ? ("BATON_CPU_ISA", forced) : ("option isa", option)
        let best = Int(cpuk_best())
        guard !wanted.isEmpty, wanted != "auto" else {
            try self.init(index: best)
            return
        }
        guard let index = Self.names.firstIndex(of: wanted) else {
            throw DriverFailure(.invalidArgument, "\(source) is '\(wanted)'; give one of auto, \(Self.names.joined(separator: ", "))")
        }
        guard index <= best else {
            throw DriverFailure(.invalidArgument, "\(source) asks for \(wanted) and this processor has \(Self.names[best]) at most")
        }
        try self.init(index: index)
    }

    private init(index: Int) throws(DriverFailure) {
        guard let table = cpuk_for(Int32(index)) else { throw DriverFailure(.internal, "no kernels for \(Self.names[index])") }
        self.table = table
        name = table.pointee.name.map { String(cString: $0) } ?? Self.names[index]
    }
}

extension DType {
    /// The kernels' number of a type is the contract's.
    var kernelType: Int32 { Int32(rawValue) }
}
