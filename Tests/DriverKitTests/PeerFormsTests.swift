import CDriver
import DriverKit
import Synchronization
import Testing

@Suite("Handing work on to a peer")
struct PeerFormsTests {
    @Test("a program that was read is lent again as it was, and compiles")
    func program() {
        let toy = Toy()
        let weights = toy.buffer(256)
        let (answer, _) = TinyProgram(weights: weights).compile(toy)
        #expect(answer.code == 0)
        guard let program = ToyProgram.last.withLock({ $0 }), let weights else { Issue.record("nothing was compiled"); return }
        var out: OpaquePointer?
        let again = program.withContract(places: [0: .init(buffer: weights)]) { desc in
            Answer { toy.programs.compile(toy.device, desc, &out, $0) }
        }
        #expect(again.code == 0, "\(again.words)")
        let bare = program.withContract(places: [:]) { desc in Answer { toy.programs.compile(toy.device, desc, &out, $0) } }
        #expect(bare.has(3, "without a buffer"))
    }
}
