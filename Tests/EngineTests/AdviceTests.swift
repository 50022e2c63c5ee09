import Driver
import Testing

@testable import Engine

/// What the doctor says to do, from what it found. No device.
@Suite("Advice")
struct AdviceTests {
    private func machine(_ change: (inout MachineFacts) -> Void = { _ in }) -> MachineFacts {
        var machine = MachineFacts()
        (machine.architecture, machine.instructionSets, machine.processors) = ("x86_64", ["avx2", "fma"], 4)
        (machine.landlock, machine.seccomp, machine.memfd) = (4, true, true)
        change(&machine)
        return machine
    }

    private func sentences(_ machine: MachineFacts, rules: [Advice.Conformance] = [], workers: Int = 4, isDebug: Bool = false) -> [String] {
        Advice.sentences(
            machine: machine, report: DriverCatalog(search: DriverSearch(folders: [])).report, conformance: rules, devices: [], pairs: [], workers: workers,
            isDebug: isDebug)
    }

    @Test("a machine that lacks nothing gets no advice of its own, and one that has no driver is told where they belong")
    func nothing() {
        #expect(sentences(machine()).count == 1 && sentences(machine())[0].contains("No driver was loaded"))
    }

    @Test("each thing that a machine lacks has its sentence, and each sentence says what to do", arguments: [
        ("instructionSets", "AVX2"), ("landlock", "Landlock"), ("seccomp", "seccomp"), ("memfd", "memfds"), ("processors", "BATON_THREADS"),
    ])
    func lacks(what: String, word: String) {
        let said = sentences(
            machine { machine in
                switch what {
                case "instructionSets": machine.instructionSets = []
                case "landlock": machine.landlock = 0
                case "seccomp": machine.seccomp = false
                case "memfd": machine.memfd = false
                default: machine.processors = 8
                }
            })
        #expect(said.count == 2 && said[0].contains(word) && said[0].contains(": ") && said[0].hasSuffix("."))
    }

    @Test("a broken rule is named with the command that shows it")
    func rules() {
        let broken = Advice.Conformance(driver: "acme", path: "/d/libbaton-acme.so", passed: 10, run: 12, of: 67, broken: ["D3", "D9"])
        #expect(sentences(machine(), rules: [broken]).contains { $0.contains("baton driver test /d/libbaton-acme.so --only D3,D9") })
    }

    @Test("this machine is known: a processor, memory, a kernel")
    func facts() {
        let machine = MachineFacts()
        #expect(machine.processors > 0 && machine.memoryBytes > 1 << 24 && !machine.kernel.isEmpty && !machine.architecture.isEmpty)
    }
}
