import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import mcpagg

@Suite("Commands for resources and prompts")
struct FeatureCommandTests {
    @Test(
        "a resource's file is called after the end of its URI",
        arguments: [
            ("fake://alpha/blob", "blob"), ("file:///a/logo.png", "logo"), ("file:///a/.png", "png"), ("file:///a/..", "resource"),
            ("x://y/a%2Fb c?q=/z#/f", "a_2Fb_c"), ("x://", "x_"), ("", "resource"), ("x://y/-rf", "rf"),
        ])
    func stems(uri: String, stem: String) { #expect(ReadResource.stem(of: uri) == stem) }

    @Test(
        "the variables of a template are those in its braces",
        arguments: [
            ("x://{a}/{b}", ["a", "b"]), ("{+path}/x{?q,lang*}", ["path", "q", "lang"]), ("x://{a:3}{a}", ["a"]), ("x://y", []),
            ("x://{open", []),
        ])
    func variables(template: String, names: [String]) { #expect(Complete.variables(of: template) == names) }

    private func prompt() throws -> PromptArguments {
        let json = #"{"name":"p","arguments":[{"name":"a","required":true},{"name":"b"}]}"#
        return PromptArguments(try FeatureDefinition(JSONView(validating: ByteBuffer(string: json)), kind: .prompts))
    }

    @Test("the arguments of prompts are texts")
    func texts() throws {
        let base = try JSONView(validating: ByteBuffer(string: #"{"z":"1"}"#))
        #expect(String(buffer: try prompt().typed(base: base, words: ["a=7", "b=true"])) == #"{"z":"1","a":"7","b":"true"}"#)
    }

    @Test(
        "what a prompt cannot take is refused",
        arguments: [
            (["b=1"], "the prompt needs the argument 'a'"), (["a=1", "c=2"], "the prompt has no argument 'c'"),
            (["a:=7"], "the argument 'a' must be a string, as all arguments of prompts"),
        ])
    func refusals(words: [String], message: String) throws {
        let failure = #expect(throws: Failure.self) { try prompt().typed(base: nil, words: words) }
        #expect(failure?.message == message)
        #expect(failure?.status == .usage)
    }
}
