internal import Engine
internal import HTTPTypes
internal import Hummingbird

/// What watches a server asks: whether the process lives, and whether it takes requests.
struct Probes {
    let service: Service

    func addRoutes(to router: Routes) {
        router.get("healthz") { _, _ in Response.text("ok\n") }
        router.get("readyz") { _, _ in
            service.isDraining ? Response.text("draining\n", status: .serviceUnavailable) : Response.text("ready\n")
        }
    }

    /// What says how much it is used, and so needs a key where there are keys.
    func addGuardedRoutes(to router: Routes) {
        router.get("metrics") { _, _ in
            var text = PrometheusText()
            service.model.engine.metrics.write(to: &text)
            service.registry.write(to: &text)
            return Response.text(text.text, type: "text/plain; version=0.0.4; charset=utf-8")
        }
    }
}

extension Response {
    static func text(_ text: String, status: HTTPResponse.Status = .ok, type: String = "text/plain; charset=utf-8") -> Response {
        Response(status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
