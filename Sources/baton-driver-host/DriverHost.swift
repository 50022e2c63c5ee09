import Driver
import Glibc

/// The program that an isolated driver runs in: it is started by Baton, which tells it over its socket what it is to be, and has no use by hand.
@main
enum DriverHost {
    static func main() {
        var status = stat()
        guard fstat(ChildServer.socket, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
            let words = "baton-driver-host: Baton starts this program itself, for devices with `isolation: process`; there is nothing to do by hand\n"
            _ = write(STDERR_FILENO, words, words.utf8.count)
            exit(64)
        }
        _ = fcntl(ChildServer.socket, F_SETFD, FD_CLOEXEC)
        ChildServer(control: ChildServer.socket).run()
        // Drivers may have threads that are in the middle of something; nothing of theirs outlives this.
        _exit(0)
    }
}
