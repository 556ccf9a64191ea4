import JSONRPC
import NIOCore
import Testing

@testable import mcpagg

@Suite("Forms of servers")
struct ElicitationFormTests {
    private func field(_ schema: String, isRequired: Bool = false) throws -> FormField {
        FormField(name: "f", schema: try JSONView(validating: ByteBuffer(string: schema)), isRequired: isRequired)
    }

    /// - Returns: JSON text of the value, or the complaint.
    private func value(_ schema: String, _ line: String) throws -> String {
        let field = try field(schema)
        do throws(FormField.Complaint) {
            return try field.value(of: line)
        } catch {
            return "! " + error.text
        }
    }

    @Test(
        "take texts as they are written",
        arguments: [
            (#"{"type":"string"}"#, " a b ", #"" a b ""#), (#"{"type":"string"}"#, "7", #""7""#),
            (#"{"type":"string","minLength":2}"#, "é", "! that is too short; it needs at least 2 characters"),
            (#"{"type":"string","maxLength":2}"#, "abc", "! that is too long; it may have at most 2 characters"),
            (#"{"type":"string","maxLength":2}"#, "éé", #""éé""#),
            (#"{"type":"string","pattern":"^[a-z]+$"}"#, "A", "! that is not of the form ^[a-z]+$"),
            (#"{"type":"string","pattern":"^(a|b)$"}"#, "c", #""c""#), (#"{"type":"string","format":"x-unknown"}"#, "c", #""c""#),
        ])
    func texts(schema: String, line: String, json: String) throws { #expect(try value(schema, line) == json) }

    @Test(
        "check the formats that texts can have",
        arguments: [
            ("email", "a@example.com", true), ("email", "example.com", false), ("email", "a b@example.com", false), ("email", "@x", false),
            ("email", "a@", false), ("uri", "https://example.com/?a=b", true), ("uri", "urn:x:y", true), ("uri", "/path", false),
            ("uri", "https://a b", false), ("uri", "1x:y", false), ("date", "2024-02-29", true), ("date", "2023-02-29", false),
            ("date", "1900-02-29", false), ("date", "2023-13-01", false), ("date", "2023-1-1", false), ("date", "today", false),
            ("date-time", "2025-12-31T23:59:60Z", true), ("date-time", "2025-12-31t01:02:03.25+02:00", true),
            ("date-time", "2025-12-31", false), ("date-time", "2025-12-31T24:00:00Z", false), ("date-time", "2025-12-31T12:00:00", false),
            ("date-time", "2025-12-31T12:00:00.Z", false), ("date-time", "2025-12-31 12:00:00Z", false),
        ])
    func formats(format: String, text: String, isGood: Bool) throws {
        let json = try value(#"{"type":"string","format":"\#(format)"}"#, text)
        #expect((json == JSONString.encoded(text)) == isGood, "\(json)")
    }

    @Test(
        "take numbers within their limits",
        arguments: [
            (#"{"type":"integer"}"#, " 7 ", "7"), (#"{"type":"integer"}"#, "7.0", "! that is no whole number"),
            (#"{"type":"integer"}"#, "seven", "! that is no whole number"), (#"{"type":"number"}"#, "7", "7"),
            (#"{"type":"number"}"#, "1.50", "1.50"), (#"{"type":"number"}"#, "1,5", "! that is no number"),
            (#"{"type":"number"}"#, "true", "! that is no number"), (#"{"type":"integer","minimum":3}"#, "2", "! that is less than 3"),
            (#"{"type":"integer","minimum":3}"#, "3", "3"), (#"{"type":"number","maximum":2.5}"#, "2.6", "! that is more than 2.5"),
            (#"{"type":"integer","maximum":9007199254740992}"#, "9007199254740993", "! that is more than 9007199254740992"),
            (#"{"type":"integer"}"#, "123456789012345678901", "123456789012345678901"),
        ])
    func numbers(schema: String, line: String, json: String) throws { #expect(try value(schema, line) == json) }

    @Test(
        "take yes and no",
        arguments: [("y", "true"), ("Yes", "true"), ("true", "true"), ("n", "false"), ("NO", "false"), ("1", "! write yes or no")])
    func booleans(line: String, json: String) throws { #expect(try value(#"{"type":"boolean"}"#, line) == json) }

    /// All forms of revisions 2025-06-18 and 2025-11-25.
    private static let single = [
        #"{"type":"string","enum":["r","g"],"enumNames":["Red","Green"]}"#,
        #"{"type":"string","oneOf":[{"const":"r","title":"Red"},{"const":"g","title":"Green"}]}"#,
    ]

    @Test("offer choices by number, value and title", arguments: single, ["2", "g", "G", "green", " Green "])
    func choices(schema: String, line: String) throws {
        #expect(try value(schema, line) == #""g""#)
        #expect(try value(schema, "3") == "! '3' is none of the choices")
    }

    @Test(
        "take several choices",
        arguments: [
            ("1,2", #"["a","b"]"#), ("Bee , a", #"["b","a"]"#), ("a,a", #"["a"]"#), ("none", "[]"), ("a,x", "! 'x' is none of the choices"),
            ("1,2,3", "! choose at most 2"),
        ])
    func several(line: String, json: String) throws {
        let titled =
            #"{"type":"array","items":{"anyOf":[{"const":"a","title":"A"},{"const":"b","title":"Bee"},{"const":"c","title":"C"}]},"maxItems":2}"#
        #expect(try value(titled, line) == json)
        let plain = #"{"type":"array","items":{"type":"string","enum":["a","b","c"]},"maxItems":2}"#
        if !line.contains("Bee") { #expect(try value(plain, line) == json) }
    }

    @Test("do not mix the numbers of choices up with choices that are numbers")
    func numericChoices() throws {
        let schema = #"{"type":"string","enum":["10","20","1"]}"#
        #expect(try !field(schema).hasNumbers)
        #expect(try value(schema, "1") == #""1""#)
        #expect(try value(schema, "2") == "! '2' is none of the choices")
    }

    @Test("take any JSON for what they do not know")
    func unknown() throws {
        #expect(try value(#"{"type":"object"}"#, #"{"a": 1}"#) == #"{"a": 1}"#)
        #expect(try value("{}", "x") == "! that is no JSON")
    }

    @Test(
        "have no default that they do not allow",
        arguments: [
            (#"{"type":"string","default":"x"}"#, #""x""#), (#"{"type":"string","default":5}"#, nil),
            (#"{"type":"string","maxLength":1,"default":"xx"}"#, nil), (#"{"type":"integer","default":5}"#, "5"),
            (#"{"type":"integer","maximum":4,"default":5}"#, nil), (#"{"type":"boolean","default":false}"#, "false"),
            (#"{"type":"string","enum":["a"],"default":"a"}"#, #""a""#), (#"{"type":"string","enum":["a"],"default":"b"}"#, nil),
            (#"{"type":"string","enum":["a"],"default":"\u0061"}"#, #""\u0061""#),
            (#"{"type":"array","items":{"enum":["a","b"]},"default":["b"]}"#, #"["b"]"#),
            (#"{"type":"array","items":{"enum":["a","b"]},"minItems":2,"default":["b"]}"#, nil),
        ])
    func defaults(schema: String, json: String?) throws { #expect(try field(schema).defaultValue == json) }

    @Test("tell their fields' defaults, and which field has none")
    func whole() throws {
        let schema = try JSONView(
            validating: ByteBuffer(
                string: #"""
                    {"type":"object","required":["a","c"],"properties":{"b":{"type":"boolean","default":true},"a":{"type":"string"},
                    "c":{"type":"integer","default":3},"d":{"type":"string"}}}
                    """#))
        let form = ElicitationForm(schema: schema)
        #expect(form.fields.map(\.name) == ["b", "a", "c", "d"])
        #expect(form.undecided == ["a"])
        #expect(String(buffer: form.result(.accept(form.defaults))) == #"{"action":"accept","content":{"b":true,"c":3}}"#)
        #expect(String(buffer: form.result(.decline)) == #"{"action":"decline"}"#)
        #expect(String(buffer: form.result(.cancel)) == #"{"action":"cancel"}"#)
        #expect(String(buffer: ElicitationForm(schema: nil).result(.accept([:]))) == #"{"action":"accept","content":{}}"#)
    }
}
