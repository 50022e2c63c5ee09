import CDriver

extension DriverKit {
    static func costTable() -> baton_cost_table {
        var table = baton_cost_table()
        table.size = UInt32(MemoryLayout<baton_cost_table>.size)
        table.estimate = { options, description, work, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let (plugin, cost) = try DriverKit.costs()
                guard let out else { throw .invalid("estimate has no place for its answer; pass one") }
                let program = try ProgramDescription(description, needsWeights: false)
                try cost.estimate(try Options(options, plugin.options), program, try Work(work)).contract.write(to: out)
            }
        }
        table.memory = { options, description, tokens, dtype, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let (plugin, cost) = try DriverKit.costs()
                guard let out else { throw .invalid("memory has no place for its answer; pass one") }
                guard tokens < 1 << 48 else { throw DriverFailure(.outOfRange, "\(tokens) KV tokens are more than any device holds") }
                let program = try ProgramDescription(description, needsWeights: false)
                let options = try Options(options, plugin.options)
                let need = try cost.memory(options, program, kvTokens: Int(tokens), kvDType: try DType(dtype, "the KV"))
                need.contract.write(to: out)
            }
        }
        return table
    }

    private static func costs() throws(DriverFailure) -> (Plugin, any CostImplementation.Type) {
        let plugin = try DriverKit.loaded()
        guard let cost = plugin.definition.cost else { throw .unimplemented("estimate costs") }
        return (plugin, cost)
    }
}
