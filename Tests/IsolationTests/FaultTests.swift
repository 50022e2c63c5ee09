import BuildKit
import CDriver
@testable import Driver
import Glibc
import TestKit
import Testing

/// What a driver can do to its own process, and what its host sees of it. Serialized, as descriptors of this process are counted.
@Suite(.enabled(if: Tool.cc != nil, "there is no C compiler to build drivers with"), .serialized)
struct FaultTests {
    @Test(
        "a driver that crashes, aborts or exits takes its process down alone: the call fails with UNAVAILABLE and one line that says how",
        arguments: [("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("exit", "exited with status 3")])
    func ends(how: String, words: String) throws {
        let driver = try Misbehaving()
        let error = try #require(try driver.failure(how))
        #expect(error.code == .unavailable)
        #expect(error.detail.contains(words) && error.detail.contains("health") && error.detail.contains("device a"), "\(error)")
        #expect(!error.description.contains("\n"))
        #expect(driver.log.all.contains { $0.contains(words) && $0.contains("libbaton-misbehaves.so") }, "\(driver.log.all)")
    }

    @Test("the handles of a child that ended stay UNAVAILABLE; a device opened anew is in a new child and works")
    func startsAgain() throws {
        let driver = try Misbehaving()
        let first = try #require(driver.library.process)
        let old = try driver.open("segv")
        #expect(throws: DriverError.self) { try old.checkHealth() }
        let device = try driver.open("")
        try device.checkHealth()
        let second = try #require(driver.library.process)
        #expect(first != second)
        do throws(DriverError) {
            try old.checkHealth()
            Issue.record("the old device works")
        } catch { #expect(error.code == .unavailable) }
        try device.checkHealth()
    }

    @Test("a child that ends more often than its budget stays down, and says so")
    func budget() throws {
        let driver = try Misbehaving { $0.restart.budget = 2 }
        for _ in 0..<3 { #expect(try driver.failure("abort")?.code == .unavailable) }
        do {
            _ = try driver.open("")
            Issue.record("it was started again")
        } catch let error as DriverError { #expect(error.code == .unavailable && error.detail.contains("budget of 2"), "\(error)") }
        #expect(driver.library.process == nil)
    }

    @Test("a driver that spins or hangs is ended when its call has had its time", arguments: ["spin", "hang"])
    func hangs(how: String) throws {
        let driver = try Misbehaving { $0.callDeadline = 3 }
        let process = try #require(driver.library.process)
        let error = try #require(try driver.failure(how))
        #expect(error.code == .unavailable && error.detail.contains("did not return from health in 3 s"), "\(error)")
        #expect(!Held.isRunning(process))
    }

    @Test("a process that is stopped misses its heartbeats and is ended")
    func stops() throws {
        let driver = try Misbehaving {
            $0.heartbeat = 4
            $0.callDeadline = 600
        }
        let error = try #require(try driver.failure("stop"))
        #expect(error.code == .unavailable && error.detail.contains("has not answered for 4 s"), "\(error)")
    }

    @Test("a driver that takes memory without end comes to its limit and takes only itself down")
    func leaks() throws {
        let driver = try Misbehaving { $0.memoryBytes = 512 << 20 }
        let error = try #require(try driver.failure("leak"))
        #expect(error.code == .unavailable && error.detail.contains("SIGABRT"), "\(error)")
    }

    @Test("what a driver prints is in the log, and not on this process's output")
    func prints() throws {
        let driver = try Misbehaving()
        #expect(try driver.failure("print") == nil)
        // The line is read beside the call: the end of the child comes after it.
        #expect(try driver.failure("exit")?.code == .unavailable)
        #expect(driver.log.all.contains { $0.contains("printed: the driver says hello") }, "\(driver.log.all)")
    }

    @Test("an exception that leaves a driver ends its process alone", .enabled(if: Tool.cxx != nil, "there is no C++ compiler"))
    func throwsAcross() throws {
        let folder = try TemporaryFolder()
        let library = folder.file("libbaton-throws_across.so")
        try Tool.cxx?.check(
            ["-shared", "-fPIC", "-I", SharedLibrary.headers, "-o", library, SharedLibrary.root + "/Tests/Fixtures/drivers/throws_across.cpp"])
        let host = HostServices(workers: WorkerPool(threads: 1))
        let (entry, child) = try DriverCatalog(host: host, search: DriverSearch(folders: [])).isolatedEntry(library, TestDrivers.isolation())
        var out = baton_driver.sized()
        #expect(entry(host.contract, &out) == DriverError.Code.unavailable.rawValue)
        #expect((child as? IsolatedDriver)?.failure?.contains("SIGABRT") == true)
    }

    @Test(
        "a fault layer's die ends the child and not its host, by the signal asked for; a device opened anew works",
        arguments: [("abort", "SIGABRT"), ("segv", "SIGSEGV"), ("kill", "SIGKILL")])
    func dies(signal: String, words: String) throws {
        let driver = try Misbehaving(layers: [LayerName(.fault, [("kind", "die"), ("call", "health"), ("at", "2"), ("signal", signal)])])
        let device = try driver.open("")
        try device.checkHealth()
        let error = try #require(throws: DriverError.self) { try device.checkHealth() }
        #expect(error.code == .unavailable && error.detail.contains(words), "\(error)")
        try driver.open("").checkHealth()
        #expect(driver.library.isolated?.starts == 2)
    }

    @Test("a watchdog over an isolated driver ends the child that hangs: the call is UNAVAILABLE, the log has one line, and a device opened anew works")
    func watched() throws {
        let driver = try Misbehaving(layers: [LayerName(.watchdog, [("call", "3s"), ("grace", "1s")])])
        let process = try #require(driver.library.process)
        let error = try #require(try driver.failure("hang"))
        #expect(error.code == .unavailable && error.detail.contains("watchdog: health took more than 3 s"), "\(error)")
        #expect(driver.log.all.contains { $0.contains("device a: health took more than 3 s; its process is ended") }, "\(driver.log.all)")
        try driver.open("").checkHealth()
        #expect(driver.library.process != process && driver.library.isolated?.starts == 2)
    }

    @Test("a driver that closes what is not its own loses its process")
    func closes() throws {
        let driver = try Misbehaving()
        let error = try driver.failure("close")
        #expect(error == nil || error?.code == .unavailable)
        // Its next heartbeat at the latest.
        for _ in 0..<30_000 where driver.library.process != nil { usleep(1_000) }
        #expect(driver.library.process == nil)
    }

    @Test(
        "the fence refuses a socket, writing a file, reading others' files, a signal to its host, and starting a program",
        arguments: ["socket", "file", "read", "kill", "exec"])
    func fence(how: String) throws {
        let driver = try Misbehaving()
        #expect(!driver.log.all.contains { $0.contains("does not fence") }, "\(driver.log.all)")
        let error = try #require(try driver.failure(how), "the driver was let")
        #expect(error.code == .permissionDenied, "\(error)")
        #expect(access("/tmp/baton-misbehaves", F_OK) != 0)
    }

    @Test("without the fence the same driver is let")
    func unfenced() throws {
        let driver = try Misbehaving { $0.isFenced = false }
        for how in ["socket", "read", "kill", "exec"] { #expect(try driver.failure(how) == nil, "\(how)") }
    }

    @Test("when it is let go, neither child nor descriptor is left, however it ended", arguments: ["", "segv", "exit", "print"])
    func leavesNothing(how: String) throws {
        var (process, targets): (Int32, [String]) = (0, [])
        do {
            let driver = try Misbehaving()
            process = try #require(driver.library.process)
            targets = try #require(driver.library.isolated).descriptors.compactMap(Held.target)
            #expect(targets.count >= 3)
            _ = try driver.failure(how)
        }
        #expect(!Held.isRunning(process))
        // The thread that saw the child's end lets go of its descriptors last, a moment after.
        for _ in 0..<3_000 where !Held.targets.isDisjoint(with: targets) { usleep(10_000) }
        #expect(Held.targets.isDisjoint(with: targets))
    }

    @Test("a program that is not there is one line")
    func noProgram() throws {
        do {
            _ = try Misbehaving { $0.program = "/no/such/baton-driver-host" }
            Issue.record("it was started")
        } catch let error as DriverError {
            #expect(error.code == .unavailable && error.detail.contains("/no/such/baton-driver-host cannot be started"), "\(error)")
        }
    }
}
