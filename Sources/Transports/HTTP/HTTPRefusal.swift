import JSONRPC
import MCPProtocol
import NIOCore
import NIOHTTP1
import Resilience

/// What an answer that is no success says.
enum HTTPRefusal {
    /// Where a redirect leads.
    /// - Parameter count: of those that were followed already.
    /// - Throws: if it is not to be followed.
    static func redirect(_ head: HTTPResponseHead, from target: HTTPTarget, after count: Int) throws(HTTPFailure) -> HTTPTarget {
        let status = Int(head.status.code)
        guard let location = head.headers.first(name: "Location"), let next = target.resolve(location) else {
            throw HTTPFailure(.notMCP, .refused, cause: "it answered \(status) without saying where to go", status: status)
        }
        guard next.origin == target.origin else {
            throw HTTPFailure(
                .configuration, .refused, cause: "it sends us to another server, \(next.origin), which is not followed",
                hint: "if that is right, write the new 'url' into the config file", status: status)
        }
        guard count < HTTPLimits.redirects else {
            throw HTTPFailure(.configuration, .refused, cause: "it redirects us more than \(HTTPLimits.redirects) times", status: status)
        }
        return next
    }

    /// Whether the server does not know our session any more. 404 says so (MCP 2025-11-25, basic/transports, "Session Management");
    /// some servers answer 400 and say it in words.
    static func isOfSession(_ status: Int, _ body: ByteBuffer, to request: Int?) -> Bool {
        if status == 404 { return true }
        guard status == 400 else { return false }
        // What is said under our id is about the request.
        if let request, let message = try? Message(scanning: body), message.integerID == request { return false }
        let text = String(decoding: body.readableBytesView.prefix(1024), as: UTF8.self).lowercased()
        return text.contains("session")
            && ["not found", "invalid", "no valid", "unknown", "expired", "missing"].contains { text.contains($0) }
    }

    /// The JSON-RPC error that a body says, under our id, if that is the answer to the request.
    static func answer(in body: ByteBuffer, status: Int, to request: OutgoingRequest) -> ByteBuffer? {
        guard (400..<600).contains(status), status != 429 else { return nil }
        guard let error = error(in: body, to: request.id) else { return nil }
        guard status >= 500 else { return error }
        // An outage, whatever is said of it, is no statement about what the server speaks.
        let isOpening = request.method == Method.initialize.rawValue || request.method == Method.discover.rawValue
        return isOpening || (try? Message(scanning: body))?.integerID != request.id ? nil : error
    }

    private static func error(in body: ByteBuffer, to id: Int) -> ByteBuffer? {
        guard let message = try? Message(scanning: body), message.isError else { return nil }
        if message.integerID == id { return body }
        guard message[.id].isPresent else {
            var splice = Splice(message)
            splice.replace(.jsonrpc, with: .json("\"2.0\",\"id\":\(id)"))
            return splice.bytes
        }
        var splice = Splice(message)
        splice.replace(.id, with: .integer(id))
        return splice.bytes
    }

    /// - Parameter hiding: takes secrets out of what the server said.
    static func failure(_ head: HTTPResponseHead, _ body: ByteBuffer, hiding: (String) -> String) -> HTTPFailure {
        let status = Int(head.status.code)
        let shown = shown(body, hiding: hiding)
        switch status {
        case 200..<300:
            if let coding = head.headers.first(name: "Content-Encoding"), coding.lowercased() != "identity" {
                return HTTPFailure(
                    .notMCP, .unknown, cause: "its answer is encoded as '\(coding.oneLine.prefix(40))', which it was not asked for",
                    status: status)
            }
            guard let type = HeaderText.mediaType(head.headers.first(name: "Content-Type")) else {
                return HTTPFailure(
                    .notMCP, .unknown, cause: "it answered \(status) without a message\(shown)",
                    hint: "is 'url' the endpoint of an MCP server?",
                    status: status)
            }
            return HTTPFailure(
                .notMCP, .unknown, cause: "it answered \(status) with '\(type.oneLine.prefix(80))', which is no message\(shown)",
                hint: "is 'url' the endpoint of an MCP server?", status: status)
        case 401:
            return HTTPFailure(.authorization, .refused, cause: "it wants authorization (HTTP 401)", status: status)
        case 403: return HTTPFailure(.authorization, .refused, cause: "it forbids this (HTTP 403)\(shown)", status: status)
        case 429: return overload(head, "has no time for more requests now (HTTP 429)", status)
        case 503: return overload(head, "is not available now (HTTP 503)", status)
        case 500...:
            return HTTPFailure(
                .transient, .unknown, cause: "it answered HTTP \(status) \(head.status.reasonPhrase)\(shown)", status: status)
        default:
            return HTTPFailure(
                .notMCP, .refused, cause: "it answered HTTP \(status) \(head.status.reasonPhrase)\(shown)",
                hint: status == 404 || status == 405 ? "is 'url' the endpoint of an MCP server?" : nil, status: status)
        }
    }

    private static func overload(_ head: HTTPResponseHead, _ what: String, _ status: Int) -> HTTPFailure {
        let wait = head.headers.first(name: "Retry-After").flatMap(HeaderText.retryAfter)
        let text = wait.map { "; it asks to wait \($0.components.seconds) s" } ?? ""
        return HTTPFailure(.overload(retryAfter: wait), .refused, cause: "it \(what)\(text)", status: status)
    }

    /// The beginning of a body that a person may learn something from.
    private static func shown(_ body: ByteBuffer, hiding: (String) -> String) -> String {
        guard body.readableBytes > 0 else { return "" }
        let text = String(decoding: body.readableBytesView.prefix(4 * HTTPLimits.shownBody), as: UTF8.self)
        // Secrets go before it is cut: of a part nobody could tell that it is one.
        return ": \(hiding(text).oneLine.prefix(HTTPLimits.shownBody))"
    }
}
