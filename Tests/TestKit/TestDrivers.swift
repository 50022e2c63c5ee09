public import Driver
import Glibc
import Testing

/// Drivers as this build made them, beside the test bundle.
public enum TestDrivers {
    /// The folder of build products: where the test bundle, mapped into this process, lies.
    public static let folder: String = {
        guard let maps = fopen("/proc/self/maps", "r") else { return "." }
        defer { fclose(maps) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        while getline(&line, &room, maps) > 0, let text = line.map({ String(cString: $0) }) {
            guard text.contains(".xctest"), let start = text.firstIndex(of: "/"), let end = text.lastIndex(of: "/") else { continue }
            return String(text[start..<end])
        }
        return "."
    }()

    /// Whether the driver called `name` was built; tests that need it are skipped aloud where its folder was removed.
    public static func has(_ name: String) -> Bool { access(folder + "/libbaton-\(name).so", R_OK) == 0 }

    /// Drivers in processes of their own, as this build made the program for them.
    public static func isolation() -> Isolation { Isolation(program: folder + "/baton-driver-host") }

    /// A catalog of this build's drivers alone.
    public static func catalog() -> DriverCatalog {
        DriverCatalog(host: HostServices(workers: WorkerPool()), search: DriverSearch(folders: [folder]))
    }
}
