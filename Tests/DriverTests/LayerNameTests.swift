import Testing

@testable import Driver

@Suite("Layers by name")
struct LayerNameTests {
    @Test("BATON_LAYERS is a list of names with parameters, outermost first")
    func list() throws {
        let names = try LayerName.list("validate, trace:file=/tmp/a.json,fault:call=submit:at=3:kind=fail")
        #expect(names.map(\.kind) == [.validate, .trace, .fault])
        #expect(names[1]["file"] == "/tmp/a.json")
        #expect(names[2].description == "fault(call=submit, at=3, kind=fail)")
        #expect(try LayerName.list("").isEmpty)
    }

    @Test("an unknown layer is named with its place and the nearest one", arguments: [("validate,tracee", "layer 2 is 'tracee', which there is not; did you mean 'trace'?"), ("watchdog", "layer 1 is 'watchdog'")])
    func unknown(text: String, words: String) throws {
        let error = try #require(throws: DriverError.self) { try LayerName.list(text) }
        #expect(error.detail.contains(words))
    }

    @Test("the environment's layers are ignored with elevated privilege, and a note says so")
    func elevated() {
        let search = DriverSearch(folders: []).changed(by: ["BATON_LAYERS": "validate"], elevated: true)
        #expect(search.layers == nil)
        #expect(search.notes == ["BATON_LAYERS is ignored: this process runs with elevated privilege"])
        #expect(DriverSearch(folders: []).changed(by: ["BATON_LAYERS": "validate"], elevated: false).layers == "validate")
    }

    @Test("a fault's schedule is its seed's: the k-th call, or each with a probability, at most so many times")
    func schedule() {
        var third = FaultSchedule(at: 3, rate: 0, times: 1, seed: 7)
        #expect((1...6).map { _ in third.next()?.number } == [nil, nil, 3, nil, nil, nil])
        func hits(_ seed: UInt64) -> [UInt64] {
            var some = FaultSchedule(at: nil, rate: 0.1, times: 5, seed: seed)
            return (0..<500).compactMap { _ in some.next()?.number }
        }
        #expect(hits(1) == hits(1))
        #expect(hits(1) != hits(2))
        #expect(hits(1).count == 5)
    }

    @Test(
        "a fault that cannot be is refused with what would do",
        arguments: [
            ("fault:call=submit:at=1", "has no kind"), ("fault:kind=fail:call=submit", "needs one of at and rate"), ("fault:kind=delay:at=1", "needs a time"),
            ("fault:kind=drop:call=open:at=1", "cannot make open drop"), ("fault:kind=explode:at=1", "give one of drop"), ("fault:kind=fail:at=0", "give a whole number from 1"),
            ("fault:kind=fail:at=1:colour=red", "has no parameter 'colour'"), ("fault:kind=fail:at=1:signal=segv", "which only kind die knows"),
            ("fault:kind=die:at=1:signal=hup", "give one of abort, segv, kill, stop"),
        ])
    func refused(text: String, words: String) throws {
        let error = try #require(throws: DriverError.self) {
            _ = try FaultLayer(LayerName.list(text)[0], LayerPlace(driver: "d", device: "a", logger: HostServices(workers: WorkerPool(threads: 1)).logger))
        }
        #expect(error.detail.contains(words), "\(error)")
    }
}

@Suite("The watchdog's decisions")
struct WatchdogRulesTests {
    @Test("a call that is late loses its device: one line of the log, then quiesce, then the caller goes on")
    func late() {
        var rules = WatchdogRules()
        #expect(rules.refusal(of: .submit) == nil)
        let actions = rules.expired(.wait, after: 30_000_000_000, driver: "acme", device: "a", request: "batch 7")
        #expect(
            actions == [
                .log("watchdog: driver acme, device a: wait took more than 30 s for batch 7; the device is given up"), .quiesce(1_000_000_000),
                .abandon("wait took more than 30 s for batch 7"),
            ])
        #expect(rules.refusal(of: .submit) == "the device is lost: wait took more than 30 s for batch 7")
    }

    @Test("a driver in a process of its own loses that process too, after it was asked to end its work")
    func isolated() {
        var rules = WatchdogRules()
        let actions = rules.expired(.submit, after: 2_000_000_000, driver: "acme", device: "a", request: "batch 3", isIsolated: true)
        #expect(
            actions == [
                .log("watchdog: driver acme, device a: submit took more than 2 s for batch 3; its process is ended"), .quiesce(1_000_000_000), .endProcess,
                .abandon("submit took more than 2 s for batch 3"),
            ])
    }

    @Test("what was made on a lost device is released once it is quiet, and not before")
    func quiet() {
        var rules = WatchdogRules()
        _ = rules.expired(.read, after: 250_000_000, driver: "acme", device: "a", request: "")
        #expect(rules.refusal(of: .releaseBuffer) != nil && rules.refusal(of: .quiesce) != nil)
        rules.quiesced()
        #expect(rules.refusal(of: .releaseBuffer) == nil && rules.refusal(of: .quiesce) == nil && rules.refusal(of: .close) == nil)
        #expect(rules.refusal(of: .read) == "the device is lost: read took more than 250 ms")
        #expect(rules.expired(.close, after: 1, driver: "acme", device: "a", request: "") == [.abandon("close took more than 0 ms")])
        #expect(rules.refusal(of: .releaseBuffer) != nil)
    }

    @Test("each class of call has its deadline")
    func classes() {
        var rules = WatchdogRules()
        (rules.open, rules.compile, rules.submit, rules.batch, rules.call) = (1, 2, 3, 4, 5)
        #expect([CallName.open, .compile, .submit, .wait, .read, .kvImport, .close].map(rules.deadline) == [1, 2, 3, 4, 5, 3, 1])
    }
}
