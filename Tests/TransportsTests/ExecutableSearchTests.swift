import Testing
import Transports

@Suite("The search for a command")
struct ExecutableSearchTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for name in ["first", "second", "here", "first/both", "third"] { try directory.makeDirectory(name) }
        try directory.write("", to: "first/plain", mode: 0o644)
        for path in ["second/plain", "second/both", "second/tool", "here/tool", "here/local", "third/tool"] {
            try directory.write("", to: path, mode: 0o755)
        }
        try directory.link("third/linked", to: "../second/tool")
        try directory.link("third/dangling", to: "nowhere")
    }

    /// - Returns: what was found, from the test's own directory; or what was said instead.
    private func find(_ command: String, _ searchPath: String?) -> String {
        do throws(ExecutableSearch.NotFound) {
            let found = try ExecutableSearch.find(command, searchPath: searchPath, directory: directory["here"])
            return found.replacing(directory.path, with: "")
        } catch {
            return "\(error)".replacing(directory.path, with: "")
        }
    }

    @Test(
        "takes the first that can be run, as a shell does",
        arguments: [
            ("tool", ["second", "third"], "/second/tool"), ("tool", ["third", "second"], "/third/tool"),
            ("tool", ["nowhere", "first", "second"], "/second/tool"),
            // Neither what may not be run nor a directory.
            ("plain", ["first", "second"], "/second/plain"), ("both", ["first", "second"], "/second/both"),
            ("linked", ["third"], "/third/linked"), ("dangling", ["third"], "there is no command 'dangling' in PATH"),
            ("tool", ["first"], "there is no command 'tool' in PATH"), ("", ["second"], "there is no command '' in PATH"),
        ])
    func search(command: String, path: [String], expected: String) {
        #expect(find(command, path.map { directory[$0] }.joined(separator: ":")) == expected)
    }

    @Test(
        "takes an empty or relative entry from the child's directory",
        arguments: [
            ("", "/here/local"), (":/nowhere", "/here/local"), ("/nowhere:", "/here/local"), (".", "/here/./local"),
            ("../here", "/here/../here/local"),
        ])
    func relative(path: String, expected: String) { #expect(find("local", path) == expected) }

    @Test("looks nowhere for a path")
    func paths() {
        #expect(find("./local", directory["second"]) == "/here/./local")
        #expect(find("../second/tool", nil) == "/here/../second/tool")
        #expect(find(directory["second/tool"], "") == "/second/tool")
        #expect(find("./both", directory["second"]) == "there is no file '/here/./both'")
        #expect(find("../first/plain", nil) == "'/here/../first/plain' is not an executable file")
        #expect(find("../first/both", nil) == "'/here/../first/both' is not an executable file")
    }

    @Test("has the system's directories for a child without a PATH, and none for one with another")
    func noPath() {
        #expect(find("sh", nil).hasSuffix("/bin/sh"))
        #expect(find("sh", directory["second"]) == "there is no command 'sh' in PATH")
    }
}
