import CDriver
import DriverKit
import Glibc

/// A status with room for words.
func emptyStatus() -> baton_status {
    var status = baton_status()
    status.size = UInt32(MemoryLayout<baton_status>.size)
    return status
}

/// A code and the words that came with it.
struct Answer: Equatable {
    var code: baton_code
    var words: String

    init(_ call: (UnsafeMutablePointer<baton_status>) -> baton_code) {
        var status = emptyStatus()
        code = call(&status)
        words = code == 0 ? "" : DriverFailure(code, &status).message
    }

    func has(_ code: Int, _ part: String) -> Bool {
        self.code == baton_code(code) && words.utf8.count > 0 && words.split(separator: part, maxSplits: 1, omittingEmptySubsequences: false).count == 2
    }
}

func hostTable(_ low: baton_version, _ high: baton_version) -> baton_host {
    var host = baton_host()
    host.size = UInt32(MemoryLayout<baton_host>.size)
    host.worker_count = 1
    host.abi_min = low
    host.abi_max = high
    return host
}

func enterToy(_ low: baton_version, _ high: baton_version, room: Int = MemoryLayout<baton_driver>.size) -> (code: baton_code, driver: baton_driver) {
    var host = hostTable(low, high)
    var driver = baton_driver()
    driver.size = UInt32(room)
    let code = DriverKit.enter(ToyDriver.self, &host, &driver)
    return (code, driver)
}

let one = baton_version(major: 1, minor: 0)

/// The toy driver's tables and one open device.
final class Toy: @unchecked Sendable {
    let driver: baton_driver
    var device: OpaquePointer?
    var table: baton_device_table { driver.device.pointee }
    var buffers: baton_buffer_table { driver.buffer.pointee }
    var programs: baton_program_table { driver.program.pointee }
    var timelines: baton_timeline_table { driver.timeline.pointee }
    let kv: UnsafePointer<baton_kv_table>

    init() {
        driver = enterToy(one, one).driver
        let id = StaticString("baton.kv")
        let name = baton_string(data: UnsafeRawPointer(id.utf8Start).assumingMemoryBound(to: CChar.self), length: UInt64(id.utf8CodeUnitCount))
        kv = driver.get_interface(name, 1)!.assumingMemoryBound(to: baton_kv_table.self)
        var status = emptyStatus()
        _ = table.open(nil, &device, &status)
    }

    deinit { if device != nil { table.close(device) } }

    func timeline(_ value: UInt64 = 0) -> OpaquePointer? {
        var out: OpaquePointer?
        var status = emptyStatus()
        _ = timelines.create(device, value, &out, &status)
        return out
    }

    func buffer(_ bytes: UInt64) -> OpaquePointer? {
        var out: OpaquePointer?
        var status = emptyStatus()
        _ = buffers.allocate(device, bytes, &out, &status)
        return out
    }

    func pool(blocks: UInt32 = 4) -> OpaquePointer? {
        var desc = Self.poolDescription(blocks: blocks)
        var out: OpaquePointer?
        var status = emptyStatus()
        _ = kv.pointee.create(device, &desc, &out, &status)
        return out
    }

    static func poolDescription(blocks: UInt32 = 4) -> baton_kv_pool_desc {
        baton_kv_pool_desc(
            size: UInt32(MemoryLayout<baton_kv_pool_desc>.size), dtype: 1, block_count: blocks, block_tokens: 4, first_layer: 0, layers: 1, kv_heads: 1,
            head_dim: 4, rope_style: 1, reserved: 0)
    }

    func wait(_ timeline: OpaquePointer?, _ value: UInt64, timeout: UInt64 = 5_000_000_000) -> Answer {
        Answer { timelines.wait(device, timeline, value, timeout, nil, $0) }
    }
}

/// A tiny program: embed [16, 4] -> attention over one head of 4 -> rows. Fields can be spoilt before compiling.
struct TinyProgram {
    var tensors: [baton_tensor] = []
    var ops: [baton_op] = []
    var desc = baton_program_desc()

    init(weights: OpaquePointer?) {
        func tensor(_ role: Int32, _ dims: [Int64], _ buffer: OpaquePointer? = nil) -> baton_tensor {
            var tensor = baton_tensor()
            tensor.size = UInt32(MemoryLayout<baton_tensor>.size)
            tensor.role = role
            tensor.dtype = 1
            tensor.rank = UInt32(dims.count)
            tensor.dims.0 = dims[0]
            if dims.count > 1 { tensor.dims.1 = dims[1] }
            tensor.buffer = buffer
            return tensor
        }
        func op(_ kind: UInt32, _ inputs: [UInt32], _ output: UInt32) -> baton_op {
            var op = baton_op()
            op.size = UInt32(MemoryLayout<baton_op>.size)
            op.kind = kind
            op.layer = -1
            op.input_count = UInt32(inputs.count)
            withUnsafeMutableBytes(of: &op.inputs) { bytes in
                for (index, input) in inputs.enumerated() { bytes.storeBytes(of: input, toByteOffset: index * 4, as: UInt32.self) }
            }
            op.output = output
            return op
        }
        tensors = [tensor(1, [16, 4], weights), tensor(2, [-1, 4]), tensor(2, [-1, 4]), tensor(4, [-2, 4])]
        var attention = op(5, [1, 1, 1], 2)
        attention.layer = 0
        attention.heads = 1
        attention.kv_heads = 1
        attention.head_dim = 4
        attention.scale = 0.5
        ops = [op(1, [0], 1), attention, op(11, [2], 3)]
        desc.size = UInt32(MemoryLayout<baton_program_desc>.size)
        desc.layer_count = 1
        desc.kv_heads = 1
        desc.head_dim = 4
        desc.max_tokens = 8
        desc.max_sequences = 2
        desc.max_context = 16
    }

    func compile(_ toy: Toy) -> (answer: Answer, program: OpaquePointer?) {
        var out: OpaquePointer?
        let answer = tensors.withUnsafeBufferPointer { tensors in
            ops.withUnsafeBufferPointer { ops in
                var desc = desc
                desc.tensor_count = UInt32(tensors.count)
                desc.tensors = tensors.baseAddress
                desc.op_count = UInt32(ops.count)
                desc.ops = ops.baseAddress
                return Answer { toy.programs.compile(toy.device, &desc, &out, $0) }
            }
        }
        return (answer, out)
    }
}

/// A batch whose arrays can be spoilt before it is submitted.
struct TinyBatch {
    var tokens: [UInt32] = [1, 2, 3]
    var positions: [UInt32] = [0, 1, 0]
    var sequences: [UInt32] = [0, 0, 1]
    var sequenceCount: UInt32 = 2
    var tables: [UInt32] = [0, 1, 2, 3]
    var stride: UInt32 = 2
    var rows: [UInt32] = [1, 2]
    var pool: OpaquePointer?
    var output: OpaquePointer?
    var waits: [baton_point] = []
    var signals: [baton_point] = []
    var layers: OpaquePointer?

    func submit(_ toy: Toy, _ program: OpaquePointer?, sync: Bool = true) -> Answer {
        var binding = baton_binding(size: UInt32(MemoryLayout<baton_binding>.size), tensor: 3, buffer: output, offset: 0)
        var batch = baton_batch()
        batch.size = UInt32(MemoryLayout<baton_batch>.size)
        batch.token_count = UInt32(tokens.count)
        batch.sequence_count = sequenceCount
        batch.row_count = UInt32(rows.count)
        batch.block_table_stride = stride
        batch.binding_count = 1
        batch.pool = pool
        return tokens.withUnsafeBufferPointer { tokens in
            positions.withUnsafeBufferPointer { positions in
                sequences.withUnsafeBufferPointer { sequences in
                    tables.withUnsafeBufferPointer { tables in
                        rows.withUnsafeBufferPointer { rows in
                            withUnsafePointer(to: &binding) { binding in
                                batch.tokens = tokens.baseAddress
                                batch.positions = positions.baseAddress
                                batch.sequences = sequences.baseAddress
                                batch.block_tables = tables.baseAddress
                                batch.rows = rows.baseAddress
                                batch.bindings = binding
                                return withSync { raw in
                                    Answer { toy.programs.submit(toy.device, program, &batch, sync ? raw : nil, $0) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    private func withSync<R>(_ body: (UnsafePointer<baton_sync>) -> R) -> R {
        waits.withUnsafeBufferPointer { waits in
            signals.withUnsafeBufferPointer { signals in
                var sync = baton_sync()
                sync.size = UInt32(MemoryLayout<baton_sync>.size)
                sync.wait_count = UInt32(waits.count)
                sync.waits = waits.baseAddress
                sync.signal_count = UInt32(signals.count)
                sync.signals = signals.baseAddress
                sync.layer_timeline = layers
                return body(&sync)
            }
        }
    }
}
