import JSONRPC
import NIOCore
import Testing

@testable import mcpagg

@Suite("Words of the command line as arguments of a call")
struct ArgumentTypingTests {
    /// - Returns: the arguments, or the mistake with its hint.
    private func typed(_ words: [String], schema: String?, base: String? = nil) throws -> String {
        let schema = try schema.map { try JSONView(validating: ByteBuffer(string: $0)) }
        let base = try base.map { try JSONView(validating: ByteBuffer(string: $0)) }
        do throws(ArgumentTyping.Mistake) {
            return String(buffer: try ArgumentTyping(schema: schema).arguments(base: base, words: words))
        } catch {
            return error.message + (error.hint.map { " | " + $0 } ?? "")
        }
    }

    /// One property `a` with this schema.
    private func typed(_ words: String..., property: String) throws -> String {
        try typed(words, schema: #"{"type":"object","properties":{"a":\#(property)}}"#)
    }

    @Test(
        "a value is what the schema says",
        arguments: [
            ("integer", "7", "7"), ("integer", "-7", "-7"), ("integer", "123456789012345678901", "123456789012345678901"),
            ("number", "1.50", "1.50"), ("number", "7", "7"), ("number", "1e400", "1e400"), ("number", "-0.0", "-0.0"),
            ("boolean", "true", "true"), ("boolean", "false", "false"), ("null", "null", "null"),
            ("object", #"{"x": 1.0}"#, #"{"x": 1.0}"#), ("object", "{}", "{}"), ("array", "[1, 2]", "[1, 2]"), ("array", "[]", "[]"),
            ("string", "text", #""text""#), ("string", "", #""""#), ("string", "7", #""7""#), ("string", "true", #""true""#),
            ("string", "null", #""null""#), ("string", "{}", #""{}""#), ("string", #"a"b\c"#, #""a\"b\\c""#), ("string", "a=b", #""a=b""#),
            ("string", "two\nlines", #""two\nlines""#), ("string", " 7 ", #"" 7 ""#), ("string", "é", #""é""#),
        ])
    func types(type: String, value: String, json: String) throws {
        #expect(try typed("a=\(value)", property: #"{"type":"\#(type)"}"#) == #"{"a":\#(json)}"#)
        // Alone in a list of types it means the same.
        #expect(try typed("a=\(value)", property: #"{"type":["\#(type)"]}"#) == #"{"a":\#(json)}"#)
    }

    @Test(
        "a value that does not fit is a mistake, told before anything is called",
        arguments: [
            (#""integer""#, "x", "an integer", ""), (#""integer""#, "1.0", "an integer", ""), (#""integer""#, "1e3", "an integer", ""),
            (#""integer""#, "1E3", "an integer", ""), (#""integer""#, "", "an integer", ""), (#""integer""#, "+1", "an integer", ""),
            (#""integer""#, "007", "an integer", ""), (#""integer""#, "0x10", "an integer", ""),
            (#""number""#, "1.", "a number", ""), (#""number""#, "NaN", "a number", ""), (#""number""#, "true", "a number", ""),
            (#""boolean""#, "yes", "a boolean", " | write true or false"), (#""boolean""#, "1", "a boolean", " | write true or false"),
            (#""boolean""#, "True", "a boolean", " | write true or false"), (#""null""#, "", "null", ""),
            (#""object""#, "[]", "an object", " | write a:='{…}'"), (#""object""#, "x", "an object", " | write a:='{…}'"),
            (#"["integer","null"]"#, "x", "an integer or null", ""),
            (#"["boolean","object"]"#, "x", "a boolean or an object", " | write a:='{…}'"),
        ])
    func mistakes(type: String, value: String, wanted: String, hint: String) throws {
        #expect(
            try typed("a=\(value)", property: #"{"type":\#(type)}"#)
                == "the argument 'a' must be \(wanted), and '\(value)' is not\(hint)")
    }

    @Test(
        "of several types the first that fits is taken, and text is the last resort",
        arguments: [
            (#"{"type":["string","integer"]}"#, "7", "7"), (#"{"type":["string","integer"]}"#, "7.5", #""7.5""#),
            (#"{"type":["null","string"]}"#, "null", "null"), (#"{"type":["null","string"]}"#, "nil", #""nil""#),
            (#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#, "7", "7"),
            (#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#, "x", #""x""#),
            (#"{"oneOf":[{"type":"boolean"},{"type":"number"}]}"#, "1.5", "1.5"),
            (#"{"oneOf":[{"type":"boolean"},{"type":"number"}]}"#, "true", "true"),
            (#"{"anyOf":[{"anyOf":[{"type":"null"},{"type":"integer"}]},{"type":"string"}]}"#, "null", "null"),
            (#"{"enum":["a",1,true,null]}"#, "1", "1"), (#"{"enum":["a",1,true,null]}"#, "true", "true"),
            (#"{"enum":["a",1]}"#, "a", #""a""#),
            (#"{"enum":["1","2"]}"#, "1", #""1""#), (#"{"enum":[[1],{"x":1}]}"#, "[1]", "[1]"), (#"{"const":5}"#, "5", "5"),
            (#"{"const":"5"}"#, "5", #""5""#),
            // No word about the type: text, as it is.
            ("{}", "7", #""7""#), (#"{"description":"x"}"#, "true", #""true""#), ("true", "null", #""null""#),
            // Types there are none of bind nobody to anything.
            (#"{"type":["integer","string","unheard"]}"#, "x", #""x""#),
        ])
    func unions(property: String, value: String, json: String) throws {
        #expect(try typed("a=\(value)", property: property) == #"{"a":\#(json)}"#)
    }

    @Test(
        "references into the schema are followed",
        arguments: [
            (##"{"$ref":"#/$defs/n"}"##, "7"), (##"{"$ref":"#/$defs/chain"}"##, "7"),
            (##"{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}"##, "7"),
            (##"{"$ref":"#/$defs/a~1b~0c"}"##, "7"),
            // What leads nowhere, round in circles or elsewhere says nothing of the type.
            (##"{"$ref":"#/$defs/none"}"##, #""7""#), (##"{"$ref":"#/$defs/loop"}"##, #""7""#),
            (#"{"$ref":"https://example.com/n"}"#, #""7""#),
        ])
    func references(property: String, json: String) throws {
        let definitions =
            ##"{"n":{"type":"integer"},"chain":{"$ref":"#/$defs/n"},"a/b~c":{"type":"integer"},"loop":{"$ref":"#/$defs/loop"}}"##
        #expect(
            try typed(["a=7"], schema: #"{"type":"object","properties":{"a":\#(property)},"$defs":\#(definitions)}"#) == #"{"a":\#(json)}"#)
    }

    @Test("a schema that is one reference is followed, too")
    func rootReference() throws {
        let schema = ##"{"$ref":"#/$defs/root","$defs":{"root":{"properties":{"a":{"type":"integer"}},"additionalProperties":false}}}"##
        #expect(try typed(["a=7"], schema: schema) == #"{"a":7}"#)
        #expect(try typed(["b=7"], schema: schema) == "the tool has no argument 'b' | did you mean 'a'?")
    }

    @Test(
        "an array is its elements one by one, or JSON",
        arguments: [
            (#"{"type":"array","items":{"type":"integer"}}"#, ["a=1", "a=2"], #"{"a":[1,2]}"#),
            (#"{"type":"array","items":{"type":"integer"}}"#, ["a=1"], #"{"a":[1]}"#),
            (#"{"type":"array","items":{"type":"integer"}}"#, ["a=[1, 2]"], #"{"a":[1, 2]}"#),
            (#"{"type":"array","items":{"type":"integer"}}"#, ["a=1", "a=x"], "the argument 'a' must be an integer, and 'x' is not"),
            (#"{"type":"array"}"#, ["a=1", "a=x"], #"{"a":["1","x"]}"#), (#"{"type":"array"}"#, ["a="], #"{"a":[""]}"#),
            (#"{"type":"array","items":{"type":"array"}}"#, ["a=[1]", "a=[2]"], #"{"a":[[1],[2]]}"#),
            (#"{"anyOf":[{"type":"array","items":{"type":"number"}},{"type":"string"}]}"#, ["a=1", "a=2"], #"{"a":[1,2]}"#),
            (#"{"anyOf":[{"type":"array","items":{"type":"number"}},{"type":"string"}]}"#, ["a=1"], #"{"a":"1"}"#),
            (#"{"anyOf":[{"type":"array","items":{"type":"number"}},{"type":"string"}]}"#, ["a=[1]"], #"{"a":[1]}"#),
            (
                #"{"type":"string"}"#, ["a=1", "a=2"],
                "the argument 'a' stands more than once, and is not an array | for an array of anything write a:='[…]'"
            ),
            (
                "{}", ["a=1", "a=2"],
                "the argument 'a' stands more than once, and is not an array | for an array of anything write a:='[…]'"
            ),
        ])
    func arrays(property: String, words: [String], result: String) throws {
        #expect(try typed(words, schema: #"{"properties":{"a":\#(property)}}"#) == result)
    }

    @Test(
        "what follows ':=' is JSON, whatever the schema says",
        arguments: [
            ("a:=7", #"{"a":7}"#), (#"a:="7""#, #"{"a":"7"}"#), ("a:=[1, 2]", #"{"a":[1, 2]}"#), ("a:=1.0", #"{"a":1.0}"#),
            ("a:= null ", #"{"a":null}"#),
            ("unknown:=1", #"{"unknown":1}"#), ("a:b:=1", #"{"a:b":1}"#),
        ])
    func json(word: String, result: String) throws {
        #expect(try typed([word], schema: #"{"properties":{"a":{"type":"string"}}}"#) == result)
    }

    @Test("what is not JSON behind ':=' is a mistake", arguments: ["text", "", "{", "01", "'x'", "[1,]"])
    func badJSON(value: String) throws {
        let result = try typed(["a:=\(value)"], schema: nil)
        #expect(result.hasPrefix("'a' is not JSON: "))
        #expect(result.hasSuffix(#" | strings need quotes: a:='"text"'; or write a=text"#))
    }

    @Test("a word without a name or a value is no argument", arguments: ["a", "", "=", "=7", "--x"])
    func noArgument(word: String) throws {
        #expect(try typed([word], schema: nil) == "'\(word)' is not an argument | write key=value, or key:=json for any JSON value")
    }

    @Test(
        "a name may hold what it likes, and the first '=' ends it",
        arguments: [(":=1", #"{":":"1"}"#), ("a b=c=d", #"{"a b":"c=d"}"#), ("é\"=1", #"{"é\"":"1"}"#)])
    func names(word: String, result: String) throws { #expect(try typed([word], schema: nil) == result) }

    @Test("words replace members of what they are added to, and the rest stays as it was")
    func base() throws {
        let schema = #"{"properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}"#
        #expect(try typed([], schema: schema) == "{}")
        #expect(try typed([], schema: schema, base: #"{ "x" : 1.0 }"#) == #"{"x":1.0}"#)
        #expect(
            try typed(["b=2", "a:=3", "c=4"], schema: schema, base: #"{"b":"old","x":[ 1 ],"a":null}"#)
                == #"{"b":2,"x":[ 1 ],"a":3,"c":"4"}"#)
        #expect(try typed(["a:=1", "a:=2"], schema: schema) == #"{"a":2}"#)
    }

    @Test(
        "an argument that the server is sure to refuse is a mistake; otherwise the server decides",
        arguments: [
            (#"{"properties":{"path":{}},"additionalProperties":false}"#, "pth=x", "the tool has no argument 'pth' | did you mean 'path'?"),
            (
                #"{"properties":{"path":{},"depth":{}},"additionalProperties":false}"#, "something=x",
                "the tool has no argument 'something' | it has path, depth"
            ),
            (#"{"properties":{"path":{}}}"#, "pth=x", #"{"pth":"x"}"#),
            (#"{"properties":{"path":{}},"additionalProperties":{"type":"integer"}}"#, "pth=x", #"{"pth":"x"}"#),
            (#"{"additionalProperties":false}"#, "pth=x", #"{"pth":"x"}"#), ("{}", "pth=x", #"{"pth":"x"}"#),
            ("true", "pth=7", #"{"pth":"7"}"#),
        ])
    func unknownName(schema: String, word: String, result: String) throws { #expect(try typed([word], schema: schema) == result) }
}
