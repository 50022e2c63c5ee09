internal import HTTPTypes
internal import NIOCore
internal import NIOHTTPTypes

/// Watches one connection: ends those that send or read too slowly, closes after an answer that says so, and notices at once that a
/// client has left. On its event loop.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    let departure = Departure()
    private let timeouts: ServerSettings.Timeouts
    /// Requests whose answers have not ended; more than one where a client does not wait.
    private var unanswered = 0
    private var isReadingBody = false
    private var closesAfterAnswer = false
    /// The last answer has ended: nothing more is expected.
    private var isClosing = false
    private var timer: Scheduled<Void>?
    private var stall: Scheduled<Void>?

    /// How long an answer that closes the connection is given to arrive before it does.
    private static let linger = TimeAmount.seconds(2)

    init(timeouts: ServerSettings.Timeouts) { self.timeouts = timeouts }

    static func departure(of channel: any Channel) async throws -> Departure {
        try await channel.eventLoop.submit { try channel.pipeline.syncOperations.handler(type: ConnectionWatch.self).departure }.get()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { expect(timeouts.head, context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        expect(timeouts.head, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        stall?.cancel()
        departure.leave()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        stall?.cancel()
        departure.leave()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            unanswered += 1
            isReadingBody = true
            expect(timeouts.body, context)
            if head.headerFields[.expect]?.lowercased() == "100-continue" {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
        case .body: break
        case .end:
            isReadingBody = false
            rest(context)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.status.kind != .informational { closesAfterAnswer = head.headerFields[.connection]?.lowercased() == "close" }
        case .body: break
        case .end: answered(context)
        }
        context.write(data, promise: promise)
    }

    private func answered(_ context: ChannelHandlerContext) {
        unanswered = max(0, unanswered - 1)
        if closesAfterAnswer, !isClosing {
            isClosing = true
            return close(context, after: Self.linger)
        }
        rest(context)
    }

    /// Between requests the next one is waited for; while an answer is made, nothing is.
    private func rest(_ context: ChannelHandlerContext) {
        guard !isReadingBody, !isClosing else { return }
        if unanswered == 0 { return expect(timeouts.idle, context) }
        timer?.cancel()
        timer = nil
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stall?.cancel()
        stall = nil
        if !context.channel.isWritable {
            let channel = context.channel
            stall = context.eventLoop.scheduleTask(in: TimeAmount(timeouts.stall)) { channel.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { departure.leave() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        departure.leave()
        context.fireErrorCaught(error)
    }

    /// Closes the connection unless what is expected comes within `limit`.
    private func expect(_ limit: Duration, _ context: ChannelHandlerContext) {
        if !isClosing { close(context, after: TimeAmount(limit)) }
    }

    private func close(_ context: ChannelHandlerContext, after amount: TimeAmount) {
        timer?.cancel()
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: amount) { channel.close(promise: nil) }
    }
}
