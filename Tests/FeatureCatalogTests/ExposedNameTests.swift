import FeatureCatalog
import MCPProtocol
import TestSupport
import Testing

@Suite("Exposed names")
struct ExposedNameTests {
    private static func name(_ tool: String, prefix: String, style: NameStyle = NameStyle(), rename: [String: String] = [:]) throws
        -> String
    {
        let rules = ExposureRules(prefix: prefix, rename: rename)
        return try #require(Catalog(try source("key", [tool], rules: rules), style: style).names.first)
    }

    @Test(
        "are prefix, separator and name, in the characters that every host takes",
        arguments: [
            ("git", "git_status", "git__git_status"), ("git", "get-it", "git__get-it"), ("git", "a.b/c d", "git__a_b_c_d"),
            ("git", "größe", "git__gr__e"), ("git", "e\u{301}", "git__e_"), ("git", "日本", "git____"), ("git", "a\"\\\n", "git__a___"),
            ("git", "1st", "git__1st"), ("git", "__x", "git____x"), ("git", "👩‍👩‍👧", "git_______"),
            // Without a prefix the name begins with a letter all the same.
            ("", "status", "status"), ("", "1st", "t_1st"), ("", "_x", "t__x"), ("", "-", "t_-"), ("", "é", "t__"), ("", "Z", "Z"),
        ])
    func alphabet(prefix: String, tool: String, expected: String) throws { #expect(try Self.name(tool, prefix: prefix) == expected) }

    @Test("take another separator", arguments: [("-", "git-x"), ("_", "git_x"), ("____", "git____x")])
    func separator(separator: String, expected: String) throws {
        #expect(try Self.name("x", prefix: "git", style: NameStyle(separator: separator)) == expected)
    }

    @Test("are plain up to the budget, and cut with a hash beyond it", arguments: [24, 48, 64, 128])
    func budget(budget: Int) throws {
        let style = NameStyle(budget: budget)
        for excess in [-1, 0, 1, 2, 500] {
            let tool = String(repeating: "x", count: budget + excess - "git__".count)
            let name = try Self.name(tool, prefix: "git", style: style)
            if excess <= 0 {
                #expect(name == "git__" + tool)
            } else {
                #expect(name.utf8.count == budget)
                #expect(name.hasPrefix("git__" + String(repeating: "x", count: budget - 5 - 9) + "_"))
                #expect(name.utf8.suffix(8).allSatisfy { "0123456789abcdef".utf8.contains($0) })
            }
        }
    }

    @Test("count the budget in characters of the result, not of the tool's own name")
    func budgetAfterSanitising() throws {
        // Twenty characters of four bytes each become twenty underscores.
        #expect(
            try Self.name(String(repeating: "𝄞", count: 20), prefix: "p", style: NameStyle(budget: 24)) == "p__"
                + String(repeating: "_", count: 20))
    }

    /// The first digits of SHA-256 over key, NUL and the tool's own name, worked out by another program.
    @Test("have a hash that depends on the server's key and the tool's own name alone")
    func hash() throws {
        let long = String(repeating: "x", count: 60)
        let expected = "git__" + String(repeating: "x", count: 34) + "_39cc5c35"
        let alone = Catalog(try source("git", [long]))
        #expect(alone.names == [expected])
        let amongOthers = Catalog(try source("a", ["x", long]), try source("git", ["y", long, "z"]), try source("b", [long]))
        #expect(amongOthers[.tools].entries.first { $0.server == "git" && $0.definition.name.text == long }?.name.text == expected)
        // Neither does another prefix or budget change it.
        let elsewhere = Catalog(
            try source("git", [long], rules: ExposureRules(prefix: "g")), style: NameStyle(separator: "-", budget: 30))
        #expect(elsewhere.names == ["g-" + String(repeating: "x", count: 19) + "_39cc5c35"])
        let byOther = Catalog(try source("GIT", [long], rules: ExposureRules(prefix: "git")))
        #expect(byOther.names != [expected])
    }

    // MARK: Collisions

    @Test("that would be equal, whatever their case, are told apart by a hash")
    func collisions() throws {
        #expect(Catalog(try source("s", ["status", "Status"])).names == ["s__status", "s__Status_38e3a49a"])
        // Who needs no change comes before who was changed, wherever they stand.
        #expect(Catalog(try source("s", ["a.b", "a_b"])).names == ["s__a_b_407e8e5c", "s__a_b"])
        let none = ExposureRules(prefix: "")
        #expect(
            Catalog(try source("first", ["x", "y"], rules: none), try source("second", ["x", "z"], rules: none)).names
                == ["x", "y", "x_0b50102d", "z"])
    }

    @Test("that end in what looks like a hash are names like any other")
    func looksHashed() throws {
        let catalog = Catalog(try source("s", ["a.b", "a_b", "a_b_407e8e5c"]))
        #expect(catalog.names[1...] == ["s__a_b", "s__a_b_407e8e5c"])
        #expect(catalog.names[0].hasPrefix("s__a_b_") && catalog.names[0].utf8.count == "s__a_b_".utf8.count + 12)
        #expect(Set(catalog.names).count == 3)
        #expect(catalog.target(catalog.names[0]) == "\(Int(UInt8(ascii: "s"))) a.b")
    }

    @Test("of a server are the same whoever is there besides", arguments: [UInt64(1), 2, 3, 4, 5])
    func stable(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let parts = ["a", "A", "b", ".", "_", "__", "-", "é", "long", String(repeating: "y", count: 50)]
        func tools() -> [String] {
            (0..<Int.random(in: 1...20, using: &random)).map { _ in
                (0..<Int.random(in: 1...4, using: &random)).map { _ in parts.randomElement(using: &random) ?? "" }.joined()
            }
        }
        let keys = ["git", "lin", "fs", "web", "db"]
        let sources = try keys.map { try source($0, tools()) }
        var alone: [String: [String]] = [:]
        for one in sources { alone[one.key] = Catalog(one).names }
        for _ in 0..<20 {
            let some = sources.shuffled(using: &random).prefix(Int.random(in: 1...keys.count, using: &random))
            let catalog = Catalog(merging: Array(some), style: NameStyle(), after: .empty)
            for one in some { #expect(catalog[.tools].entries.filter { $0.server == one.key }.map(\.name.text) == alone[one.key]) }
            #expect(catalog[.tools].entries.map(\.server) == some.flatMap { one in (alone[one.key] ?? []).map { _ in one.key } })
            let names = catalog.names
            #expect(Set(names.map { $0.lowercased() }).count == names.count)
            for name in names {
                #expect(name.wholeMatch(of: /[A-Za-z][A-Za-z0-9_-]*/) != nil && name.utf8.count <= 48, "\(name)")
            }
        }
    }

    // MARK: Names that hosts know

    @Test("that a host knows stay with their tools, whoever comes before them now")
    func kept() throws {
        let none = ExposureRules(prefix: "")
        let (first, second) = (try source("first", ["x"], rules: none), try source("second", ["x"], rules: none))
        let before = Catalog(second)
        #expect(before.names == ["x"])
        #expect(Catalog(first, second, after: before).names == ["x", "x_0b50102d"])
        let after = Catalog(first, second, after: before, keepsNames: true)
        #expect(after[.tools].entries.map { "\($0.server) \($0.name.text)" }.last == "second x")
        #expect(after.names.first?.hasPrefix("x_") == true)
        // And so on: the one that has a hash keeps it, though the plain name is free again.
        #expect(Catalog(first, after: after, keepsNames: true).names == [after.names[0]])
        #expect(Catalog(first, after: after).names == ["x"])
    }

    @Test("that a host knows are given up when the rules would never make them")
    func notKept() throws {
        let before = Catalog(try source("s", ["a", "b"], rules: ExposureRules(prefix: "s", rename: ["a": "c"])))
        #expect(before.names == ["s__c", "s__b"])
        let after = Catalog(
            try source("s", ["a", "b"], rules: ExposureRules(prefix: "s", rename: ["b": "c"])), after: before, keepsNames: true)
        #expect(after.names == ["s__a", "s__c"])
        let short = Catalog(
            try source("s", ["a", "b" + String(repeating: "x", count: 40)]), style: NameStyle(budget: 24),
            after: Catalog(try source("s", ["a", "b" + String(repeating: "x", count: 40)])), keepsNames: true)
        #expect(short.names.allSatisfy { $0.utf8.count <= 24 })
    }

    // MARK: Rules

    @Test(
        "go by the rules of their server, in its order",
        arguments: [
            (ExposureRules(prefix: "s"), ["s__list", "s__list_all", "s__delete_one", "s__get"]),
            (ExposureRules(prefix: "s", include: ["list*", "get"]), ["s__list", "s__list_all", "s__get"]),
            (ExposureRules(prefix: "s", exclude: ["delete_*", "list"]), ["s__list_all", "s__get"]),
            (ExposureRules(prefix: "s", include: ["list*"], exclude: ["*_all"]), ["s__list"]),
            (ExposureRules(prefix: "s", include: []), []),
            (ExposureRules(prefix: "s", include: ["s__*"]), []),
            (
                ExposureRules(prefix: "s", rename: ["get": "fetch it", "nothing": "x"]),
                ["s__list", "s__list_all", "s__delete_one", "s__fetch_it"]
            ),
            // The rules are about the tool's own name, not about the one it is given.
            (ExposureRules(prefix: "", include: ["get"], exclude: ["fetch"], rename: ["get": "fetch"]), ["fetch"]),
        ])
    func rules(rules: ExposureRules, expected: [String]) throws {
        #expect(Catalog(try source("k", ["list", "list_all", "delete_one", "get"], rules: rules)).names == expected)
    }

    @Test("lead to the tool's own name, however they were made")
    func routes() throws {
        let rules = ExposureRules(prefix: "s", rename: ["get": "fetch"])
        let catalog = Catalog(try source("s", ["get", "a.b", String(repeating: "x", count: 99)], rules: rules))
        for (name, own) in zip(catalog.names, ["get", "a.b", String(repeating: "x", count: 99)]) {
            #expect(catalog.target(name) == "\(Int(UInt8(ascii: "s"))) \(own)")
        }
        #expect(catalog.target("s__get").hasPrefix("Unknown tool"))
        #expect(catalog.target("get").hasPrefix("Unknown tool"))
    }
}
