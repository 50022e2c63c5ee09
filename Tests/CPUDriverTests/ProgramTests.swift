import CDriver
import Testing

@testable import Driver

/// Programs that are wrong are refused with the operation's or tensor's name; odd ones that are right compute what they say.
@Suite("The cpu driver's programs", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct ProgramTests {
    private func compile(_ builder: ProgramBuilder, _ device: Device) throws -> Program {
        try Program(compiling: builder, weights: Rig.weights(TinyModel.program(), device), on: device)
    }

    @Test("a program that breaks a rule", arguments: BadProgram.all)
    func rules(bad: BadProgram) throws {
        let device = try Rig.open()
        var builder = TinyModel.program()
        _ = try compile(builder, device)
        bad.change(&builder)
        refusal(bad.code, bad.words) { _ = try compile(builder, device) }
    }

    @Test("an operation this driver does not know")
    func unknownKind() throws {
        let device = try Rig.open()
        let weights = try Rig.weights(TinyModel.program(), device)
        var status = baton_status.sized
        for kind in [0, 12, UInt32.max] {
            let code = TinyModel.program().withContract(handles: weights.handles) { desc -> baton_code in
                var copy = desc.pointee
                var operations = Array(UnsafeBufferPointer(start: copy.ops, count: Int(copy.op_count)))
                operations[3].kind = kind
                return operations.withUnsafeBufferPointer { list in
                    copy.ops = list.baseAddress
                    var out: OpaquePointer?
                    return device.library.program.compile?(device.handle, &copy, &out, &status) ?? 0
                }
            }
            #expect(code == DriverError.Code.unimplemented.rawValue)
        }
    }

    @Test("a weight in each dtype the device does not list", arguments: [DType.i32, .u32, .i8, .mxfp8])
    func weightDTypes(dtype: DType) throws {
        let device = try Rig.open()
        #expect(!device.info.weightDTypes.contains(dtype))
        var builder = TinyModel.program()
        for index in builder.tensors.indices where builder.tensors[index].name.hasPrefix("w0") {
            builder.tensors[index].dtype = dtype
            refusal(.unimplemented, "'\(builder.tensors[index].name)'") { _ = try compile(builder, device) }
            builder.tensors[index].dtype = .f32
        }
        builder.tensors[0].dtype = dtype
        refusal(.unimplemented, "embed") { _ = try compile(builder, device) }
    }

    @Test("a workspace larger than numbers can say")
    func hugeWorkspace() throws {
        let device = try Rig.open()
        var builder = ProgramBuilder(layers: 0..<1, kvHeads: 1, headDim: 16, maxTokens: Int(UInt32.max), maxSequences: 1, maxContext: 0)
        builder.tensors.append(.init(name: "x", role: .input, shape: [.tokens, .fixed(1 << 28)]))
        for index in 1...9 {
            builder.tensors.append(.init(name: "y\(index)", role: index == 9 ? .output : .activation, shape: [.tokens, .fixed(1 << 28)]))
            builder.operations.append(.init(index == 5 ? .add : .scale, layer: nil, inputs: index == 5 ? [4, 1] : [index - 1], output: index))
        }
        refusal(.resourceExhausted, "bytes") { _ = try compile(builder, device) }
    }

    @Test("memory of a program that was refused is free again")
    func refusedMemory() throws {
        let device = try Rig.open(["numerics": "bf16", "memory": "10000000"])
        let builder = TinyModel.program()
        let other = try Rig.weights(builder, device)
        for _ in 0..<300 { _ = try Program(compiling: builder, weights: other, on: device) }
        let huge = TinyModel.program(maxTokens: Int(UInt32.max))
        for _ in 0..<300 { refusal(.resourceExhausted, "activations of") { _ = try Program(compiling: huge, weights: other, on: device) } }
        for _ in 0..<3 { refusal(.resourceExhausted, "free of 10000000") { _ = try Buffer(allocating: 9_900_000, on: device) } }
        _ = try Buffer(allocating: 5_000_000, on: device)
    }

    @Test("a cost of absurd numbers is an answer or a refusal", arguments: [(1 << 31, 1 << 31), (1 << 28, 1 << 28)])
    func absurdCosts(rows: Int, columns: Int) throws {
        let library = try Rig.library()
        var builder = ProgramBuilder(
            layers: 0..<1 << 16, kvHeads: Int(UInt32.max), headDim: Int(UInt32.max), maxTokens: Int(UInt32.max), maxSequences: 1, maxContext: 0)
        builder.tensors.append(.init(name: "x", role: .input, shape: [.tokens, .fixed(columns)]))
        for index in 0..<4 {
            builder.tensors.append(.init(name: "w\(index)", role: .weight, shape: [.fixed(rows), .fixed(columns)]))
            builder.tensors.append(.init(name: "y\(index)", role: .output, shape: [.tokens, .fixed(rows)]))
            builder.operations.append(.init(.linear, layer: nil, inputs: [0, 2 * index + 1], output: 2 * index + 2))
        }
        let work = Work.run(tokens: Int(UInt32.max), sequences: 1, contextTokens: 1 << 47, rows: 1)
        for numerics in ["native", "bf16"] {
            let options: DriverOptions = ["numerics": numerics]
            guard columns < 1 << 31 else {
                refusal(.invalidArgument, "larger than memory") { _ = try library.estimate(work, program: builder, options: options) }
                continue
            }
            #expect(try library.estimate(work, program: builder, options: options).nanoseconds > 1_000_000_000)
            let need = try library.memoryNeed(program: builder, kvTokens: 1 << 47, kvDType: .f32, options: options)
            #expect(!need.fits)
            #expect(need.kvBytes > need.availableBytes)
        }
    }

    @Test("a bias in 16 bits is added as what it says", arguments: [DType.f32, .f16, .bf16])
    func bias(dtype: DType) throws {
        let device = try Rig.open()
        var builder = ProgramBuilder(layers: 0..<1, kvHeads: 1, headDim: 16, maxTokens: 8, maxSequences: 1, maxContext: 0)
        builder.tensors = [
            .init(name: "x", role: .input, shape: [.tokens, .fixed(32)]),
            .init(name: "w", role: .weight, shape: [.fixed(20), .fixed(32)], buffer: 0),
            .init(name: "b", role: .weight, dtype: dtype, shape: [.fixed(20)], buffer: 0, offset: 2560),
            .init(name: "y", role: .output, shape: [.tokens, .fixed(20)]),
        ]
        builder.operations = [.init(.linear, layer: nil, inputs: [0, 1, 2], output: 3)]
        let bytes = try HostRegion(count: 2560 + dtype.bytes(20))
        for index in 0..<640 { bytes.bytes.storeBytes(of: Float(1), toByteOffset: index * 4, as: Float.self) }
        for index in 0..<20 {
            let value = Float(index) - 8
            let at = 2560 + index * dtype.blockBytes
            switch dtype {
            case .f16: bytes.bytes.storeBytes(of: halfBits(index - 8), toByteOffset: at, as: UInt16.self)
            case .bf16: bytes.bytes.storeBytes(of: UInt16(value.bitPattern >> 16), toByteOffset: at, as: UInt16.self)
            default: bytes.bytes.storeBytes(of: value, toByteOffset: at, as: Float.self)
            }
        }
        let found = try run(builder, bytes, inputs: [(0, 7 * 32)], output: 3, count: 7 * 20, tokens: 7, device)
        let row: [Float] = (0..<20).map { Float($0) + 24 }
        #expect(found == [[Float]](repeating: row, count: 7).flatMap { $0 })
    }

    /// Small whole numbers in f16, exactly.
    private func halfBits(_ value: Int) -> UInt16 {
        let bits = Float(value).bitPattern
        guard value != 0 else { return 0 }
        return UInt16(bits >> 16 & 0x8000) | UInt16(((bits >> 23 & 0xFF) - 112) << 10) | UInt16(bits >> 13 & 0x3FF)
    }

    @Test("tensors of fixed rows are computed for those rows, however many tokens there are", arguments: [1, 6])
    func fixedRows(tokens: Int) throws {
        let device = try Rig.open()
        var builder = ProgramBuilder(layers: 0..<1, kvHeads: 1, headDim: 16, maxTokens: 8, maxSequences: 1, maxContext: 0)
        func tensor(_ name: String, _ role: ProgramBuilder.Role, _ shape: [ProgramBuilder.Dimension], _ offset: UInt64 = 0) {
            builder.tensors.append(.init(name: name, role: role, shape: shape, buffer: role == .weight ? 0 : nil, offset: offset))
        }
        tensor("x", .input, [.fixed(3), .fixed(4)])
        tensor("w", .weight, [.fixed(3), .fixed(4)])
        tensor("sum", .activation, [.fixed(3), .fixed(4)])
        tensor("y", .output, [.fixed(3), .fixed(4)])
        tensor("v", .input, [.fixed(4)])
        tensor("z", .output, [.fixed(4)])
        builder.operations = [.init(.add, layer: nil, inputs: [0, 1], output: 2), .init(.mul, layer: nil, inputs: [2, 2], output: 3), .init(.add, layer: nil, inputs: [4, 4], output: 5)]
        let bytes = try HostRegion(count: 48)
        for index in 0..<12 { bytes.bytes.storeBytes(of: Float(index), toByteOffset: index * 4, as: Float.self) }
        let found = try run(builder, bytes, inputs: [(0, 12), (4, 4)], output: 3, count: 12, tokens: tokens, device, beside: 5)
        let squares: [Float] = (1...12).map { Float($0 * $0) }
        #expect(found == squares)
    }

    /// Runs a program without KV over inputs of ones; checks that nothing past the outputs is written.
    private func run(
        _ builder: ProgramBuilder, _ weights: borrowing HostRegion, inputs: [(tensor: Int, count: Int)], output: Int, count: Int, tokens: Int,
        _ device: Device, beside: Int? = nil
    ) throws -> [Float] {
        let held = WeightBuffers(on: device)
        _ = held.append(try Buffer(importing: .host(weights.base, count: weights.count), writable: false, on: device))
        let program = try Program(compiling: builder, weights: held, on: device)
        let room = try Buffer(allocating: 65_536, on: device)
        let ones = [Float](repeating: 1, count: 8_192)
        try ones.withUnsafeBytes { try room.write($0, at: 0) }
        let marks = [Float](repeating: -7, count: 8_192)
        try marks.withUnsafeBytes { try room.write($0, at: 32_768) }
        var batch = Batch()
        batch.tokens = [UInt32](repeating: 0, count: tokens)
        batch.positions = (0..<tokens).map(UInt32.init)
        batch.sequences = batch.tokens
        for input in inputs { batch.bind(input.tensor, to: room) }
        batch.bind(output, to: room, at: 32_768)
        if let beside { batch.bind(beside, to: room, at: 49_152) }
        let pool = try KVPool(creating: Rig.pool(.f32), on: device)
        let done = try Timeline(on: device)
        var sync = Sync()
        sync.signal(done, 1)
        try program.submit(batch, pool: pool, sync: sync)
        try done.wait(1, timeout: Rig.patience)
        var found = [Float](repeating: 0, count: 4_096)
        try found.withUnsafeMutableBytes { try room.read(into: $0, at: 32_768) }
        #expect(found[count...].allSatisfy { $0 == -7 }, "nothing past the output is written")
        return Array(found[..<count])
    }
}

/// One thing that is wrong with the tiny model's program.
struct BadProgram: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var code: DriverError.Code = .invalidArgument
    var words = ""
    var change: @Sendable (inout ProgramBuilder) -> Void

    private static func op(_ kind: ProgramBuilder.Operation.Kind, _ program: inout ProgramBuilder, _ change: (inout ProgramBuilder.Operation) -> Void) {
        for index in program.operations.indices where program.operations[index].kind == kind {
            change(&program.operations[index])
            return
        }
    }

    static let all = [
        BadProgram(testDescription: "an unknown dtype", words: "unknown dtype 99") { $0.tensors[0].dtype = DType(rawValue: 99) },
        BadProgram(testDescription: "no dtype", words: "dtype 0") { $0.tensors[3].dtype = DType(rawValue: 0) },
        BadProgram(testDescription: "an activation of 16 bits", words: "f16") { $0.tensors[1].dtype = .f16 },
        BadProgram(testDescription: "half a block in a row", words: "blocks of 32") { ($0.tensors[0].dtype, $0.tensors[0].shape) = (.q8_0, [.fixed(50), .fixed(48)]) },
        BadProgram(testDescription: "rank 0", words: "rank 0") { $0.tensors[0].shape = [] },
        BadProgram(testDescription: "rank 3", words: "rank 3") { $0.tensors[0].shape = [.fixed(1), .fixed(1), .fixed(1)] },
        BadProgram(testDescription: "a dimension of 0", words: "dimension 0") { $0.tensors[0].shape[0] = .fixed(0) },
        BadProgram(testDescription: "a dimension beyond all", words: "dimension") { $0.tensors[0].shape[0] = .fixed(1 << 62) },
        BadProgram(testDescription: "a weight that counts tokens", words: "counts tokens") { $0.tensors[0].shape[0] = .tokens },
        BadProgram(testDescription: "a weight past its buffer", words: "buffer of") { $0.tensors[0].offset = 1 << 20 },
        BadProgram(testDescription: "a weight whose end overflows", words: "buffer of") { $0.tensors[0].offset = .max },
        BadProgram(testDescription: "a weight larger than its buffer", words: "buffer of") { $0.tensors[0].shape[0] = .fixed(1 << 31) },
        BadProgram(testDescription: "a weight without a buffer", words: "without a buffer") { $0.tensors[0].buffer = nil },
        BadProgram(testDescription: "an embedding of another width", words: "embed") { $0.tensors[0].shape[1] = .fixed(32) },
        BadProgram(testDescription: "an input that is not there", words: "input 9999") { $0.operations[2].inputs[0] = 9_999 },
        BadProgram(testDescription: "an output that is not there", words: "output 9999") { $0.operations[2].output = 9_999 },
        BadProgram(testDescription: "an input not made yet", words: "not made yet") { $0.operations.swapAt(1, 2) },
        BadProgram(testDescription: "an activation made twice", words: "again") { $0.operations.append($0.operations[4]) },
        BadProgram(testDescription: "a weight written", words: "which is a weight") { $0.operations[2].output = 0 },
        BadProgram(testDescription: "too few inputs", words: "1 inputs") { $0.operations[1].inputs.removeLast() },
        BadProgram(testDescription: "too many inputs", words: "4 inputs") { $0.operations[1].inputs += [0, 0] },
        BadProgram(testDescription: "a layer outside", words: "layer 7") { $0.operations[1].layer = 7 },
        BadProgram(testDescription: "attention outside the layers") { op(.attention, &$0) { $0.layer = nil } },
        BadProgram(testDescription: "heads not divided", words: "divide") { op(.attention, &$0) { $0.heads = 3 } },
        BadProgram(testDescription: "no KV heads", words: "0 KV heads") { op(.attention, &$0) { $0.kvHeads = 0 } },
        BadProgram(testDescription: "heads beyond the tensor", words: "heads") { op(.attention, &$0) { $0.heads = 1 << 31 } },
        BadProgram(testDescription: "a KV of other heads than the program", words: "agree") { $0.kvHeads = 4 },
        BadProgram(testDescription: "a rope of odd size", words: "even") { op(.rope, &$0) { $0.ropeDims = 3 } },
        BadProgram(testDescription: "a rope wider than the head", words: "turns 18") { op(.rope, &$0) { $0.ropeDims = 18 } },
        BadProgram(testDescription: "a rope base of nothing", words: "base") { op(.rope, &$0) { $0.ropeBase = 0 } },
        BadProgram(testDescription: "an epsilon that is no number", words: "epsilon") { op(.rmsNorm, &$0) { $0.epsilon = .nan } },
        BadProgram(testDescription: "a scale without end", words: "scale") { op(.attention, &$0) { $0.scale = .infinity } },
        BadProgram(testDescription: "layers without end", words: "layers") { $0.layers = 0..<Int(UInt32.max) },
        BadProgram(testDescription: "no operations", words: "no operations") { $0.operations = [] },
        BadProgram(testDescription: "no tensors", words: "no tensors") { $0.tensors = [] },
        BadProgram(testDescription: "batches of no tokens", words: "0 tokens") { $0.maxTokens = 0 },
        BadProgram(testDescription: "an output nobody makes", words: "made by no operation") { $0.operations.removeLast() },
    ]
}
