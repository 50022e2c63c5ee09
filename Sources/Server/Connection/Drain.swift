internal import Logging
internal import ServiceLifecycle

/// Runs until the server is told to stop; then refuses what is new and ends once what ran has been answered.
struct Drain: ServiceLifecycle.Service {
    let service: Service
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        logger.notice("draining: what runs is finished, what is new is refused")
        await service.drain()
        logger.notice("drained")
    }
}
