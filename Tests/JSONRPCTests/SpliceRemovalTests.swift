import JSONRPC
import NIOCore
import Testing

@Suite("Members taken out of a message")
struct SpliceRemovalTests {
    /// Members of a result that can be removed, and others.
    private static let known: [(name: String, member: Message.Member)] = [
        ("resultType", .resultType), ("ttlMs", .ttlMs), ("cacheScope", .cacheScope), ("requestState", .requestState), ("_meta", .meta),
    ]

    private static func result(_ members: [String], space: String) -> String {
        let body = members.map { "\(space)\"\($0)\"\(space):\(space)\"value of \($0), {}[]\\\"\"\(space)" }.joined(separator: ",")
        return #"{"jsonrpc":"2.0","id":1,"result":{\#(body)}}"#
    }

    /// All orders of so many names.
    private static func orders(_ names: [String]) -> [[String]] {
        guard let first = names.first else { return [[]] }
        return orders(Array(names.dropFirst())).flatMap { rest in
            (0...rest.count).map { Array(rest[..<$0]) + [first] + Array(rest[$0...]) }
        }
    }

    @Test("leave the others as they were, whatever stands where", arguments: ["", " ", "\t "])
    func everyOrder(space: String) throws {
        for names in Self.orders(["a", "resultType", "ttlMs", "cacheScope", "z"]) {
            for choice in 0..<8 {
                let removed = zip(["resultType", "ttlMs", "cacheScope"], 0...).filter { choice & (1 << $0.1) != 0 }.map(\.0)
                let message = try Message(scanning: ByteBuffer(string: Self.result(names, space: space)))
                var splice = Splice(message)
                splice.remove(Self.known.filter { removed.contains($0.name) }.map(\.member))
                let left = try Message(scanning: splice.bytes)
                let members = left.view(left.places[.result]).members
                #expect(members.map(\.name) == names.filter { !removed.contains($0) }, "\(names) without \(removed)")
                for (name, value) in members { #expect(value.string == #"value of \#(name), {}[]""#) }
                if removed.isEmpty { #expect(splice.bytes == message.bytes) }
            }
        }
    }

    @Test(
        "may be all there are",
        arguments: [
            (#"{"ttlMs":1}"#, "{}"), (#"{ "ttlMs" : 1 }"#, "{ }"), (#"{"ttlMs":1,"cacheScope":"x"}"#, "{}"),
            (#"{"\u0074tlMs":1,"a":2}"#, #"{"a":2}"#), (#"{"a":2,"\u0074tlMs":1}"#, #"{"a":2}"#), (#"{"a":2}"#, #"{"a":2}"#),
            (#"{"a":{"ttlMs":1},"ttlMs":[1,{"b":","}]}"#, #"{"a":{"ttlMs":1}}"#),
        ])
    func alone(result: String, left: String) throws {
        var splice = Splice(try Message(scanning: ByteBuffer(string: #"{"result":\#(result),"id":1,"jsonrpc":"2.0"}"#)))
        splice.remove([.ttlMs, .cacheScope])
        splice.replace(.id, with: .integer(77))
        #expect(String(buffer: splice.bytes) == #"{"result":\#(left),"id":77,"jsonrpc":"2.0"}"#)
    }

    @Test("may stand inside of each other's neighbours")
    func nested() throws {
        let text =
            #"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"k":1}}}"#
        var splice = Splice(try Message(scanning: ByteBuffer(string: text)))
        splice.remove([.resultType, .metaServerInfo])
        #expect(String(buffer: splice.bytes) == #"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"k":1}}}"#)
    }
}
