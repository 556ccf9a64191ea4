import Foundation
import NIOCore
import Testing
import Transports

@Suite("A directory of files that may be gone at any time")
struct CacheDirectoryTests {
    private func text(_ buffer: ByteBuffer?) -> String? { buffer.map { String(buffer: $0) } }

    private func mode(_ path: String) throws -> Int? {
        (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
    }

    private func names(_ path: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

    private static func problem(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("is made when something is written to it, for its owner only, and gives it back")
    func writes() throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["a/b/mcpagg"])
        #expect(text(try cache.read("x", limit: 10)) == nil)
        try cache.write("x", ByteBuffer(string: "one"), by: "t", replaces: true)
        #expect(text(try cache.read("x", limit: 3)) == "one")
        try cache.write("x", ByteBuffer(string: ""), by: "t", replaces: true)
        #expect(text(try cache.read("x", limit: 3)) == "")
        #expect(try mode(directory["a/b/mcpagg"]) == 0o700)
        #expect(try mode(directory["a/b/mcpagg/x"]) == 0o600)
        #expect(try names(directory["a/b/mcpagg"]) == ["x"])
    }

    @Test("keeps what is there if it is not to be replaced")
    func first() throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["c"])
        for text in ["first", "second"] { try cache.write("x", ByteBuffer(string: text), by: "t", replaces: false) }
        #expect(text(try cache.read("x", limit: 9)) == "first")
        #expect(try names(directory["c"]) == ["x"])
    }

    @Test("does so too where files have no second names", arguments: [EPERM, ENOTSUP, EOPNOTSUPP, EMLINK, ENOSYS])
    func withoutLinks(reason: CInt) throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["c"]) { _, _ in
            errno = reason
            return -1
        }
        for text in ["first", "second"] { try cache.write("x", ByteBuffer(string: text), by: "t", replaces: false) }
        #expect(text(try cache.read("x", limit: 9)) == "first")
        #expect(try mode(directory["c/x"]) == 0o600)
        #expect(try names(directory["c"]) == ["x"])
    }

    @Test("says so if it cannot be made for another reason")
    func withoutRoom() throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["c"]) { _, _ in
            errno = ENOSPC
            return -1
        }
        let problem = Self.problem { try cache.write("x", ByteBuffer(string: "x"), by: "t", replaces: false) }
        #expect(problem?.hasPrefix("cannot be made") == true)
        #expect(try names(directory["c"]).isEmpty)
    }

    @Test("loses a file that is removed, if there is one")
    func removes() throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["c"])
        try cache.write("x", ByteBuffer(string: "x"), by: "t", replaces: true)
        cache.remove("x")
        cache.remove("x")
        #expect(text(try cache.read("x", limit: 9)) == nil)
    }

    @Test("is closed to others if it was open")
    func closed() throws {
        let directory = try TemporaryDirectory()
        try directory.makeDirectory("c")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory["c"])
        try CacheDirectory(directory["c"]).write("x", ByteBuffer(string: "x"), by: "t", replaces: true)
        #expect(try mode(directory["c"]) == 0o700)
    }

    @Test("refuses what is no file of ours, and says why")
    func refuses() throws {
        let directory = try TemporaryDirectory()
        try directory.makeDirectory("c/directory")
        try directory.write("good", to: "elsewhere")
        try directory.link("c/link", to: directory["elsewhere"])
        try directory.write("open", to: "c/open", mode: 0o666)
        try directory.write("long", to: "c/long", mode: 0o600)
        let cache = CacheDirectory(directory["c"])
        for (name, reason) in [
            ("directory", "is no regular file"), ("link", "cannot be opened"), ("open", "can be written by others"),
            ("long", "is longer than 3 bytes"),
        ] {
            #expect(Self.problem { _ = try cache.read(name, limit: 3) }?.hasPrefix(reason) == true, "\(name)")
        }
        #expect(text(try cache.read("nothing", limit: 3)) == nil)
    }

    @Test("says why nothing can be written, and leaves nothing behind")
    func unwritable() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a file", to: "f")
        #expect(
            Self.problem { try CacheDirectory(directory["f/c"]).write("x", ByteBuffer(), by: "t", replaces: true) }?
                .contains("cannot be made") == true)
        #expect(
            Self.problem { try CacheDirectory(directory["f"]).write("x", ByteBuffer(), by: "t", replaces: true) }?
                .contains("which is a file") == true)
        try directory.makeDirectory("c/x/y")
        #expect(
            Self.problem { try CacheDirectory(directory["c"]).write("x", ByteBuffer(), by: "t", replaces: true) }?
                .hasPrefix("cannot be replaced") == true)
        #expect(try names(directory["c"]) == ["x"])
    }

    @Test("is never read half written, while somebody replaces it again and again")
    func atomic() async throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["c"])
        let texts = ["a", "b"].map { String(repeating: $0, count: 300_000) }
        try cache.write("x", ByteBuffer(string: texts[0]), by: "t", replaces: true)
        let seen = try await withThrowingTaskGroup(of: Set<String>.self) { group in
            for writer in 0..<2 {
                group.addTask {
                    for _ in 0..<50 { try cache.write("x", ByteBuffer(string: texts[writer]), by: "t\(writer)", replaces: true) }
                    return []
                }
            }
            group.addTask {
                var seen: Set<String> = []
                for _ in 0..<200 { seen.insert(try cache.read("x", limit: 1_000_000).map { String(buffer: $0) } ?? "none") }
                return seen
            }
            return try await group.reduce(into: Set()) { $0.formUnion($1) }
        }
        #expect(seen.isSubset(of: texts))
    }

    @Test("is pruned: what is too old, too much, too many, or was never finished")
    func prunes() throws {
        let directory = try TemporaryDirectory()
        let cache = CacheDirectory(directory["c"])
        let now = Int64(Date().timeIntervalSince1970)
        func put(_ name: String, bytes: Int, age: Int) throws {
            try directory.makeDirectory("c")
            try directory.write(String(repeating: "x", count: bytes), to: "c/\(name)")
            let date = Date(timeIntervalSince1970: Double(now) - Double(age))
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: directory["c/\(name)"])
        }
        func left(_ bounds: CacheBounds) throws -> [String] {
            try? directory.remove("c")
            for (name, bytes, age) in [
                ("a.k", 10, 10), ("b.k", 10, 20), ("c.k", 10, 30), ("d.k", 10, 400), ("salt", 10, 9_999), ("e.k.new", 10, 50),
                ("f.k.new", 10, 5),
            ] { try put(name, bytes: bytes, age: age) }
            cache.prune(".k", keeping: bounds, now: now)
            return try names(directory["c"])
        }
        let wide = CacheBounds(count: 100, bytes: 1_000, age: 10_000, temporaryAge: 100)
        #expect(try left(wide) == ["a.k", "b.k", "c.k", "d.k", "e.k.new", "f.k.new", "salt"])
        var bounds = wide
        bounds.age = 100
        #expect(try left(bounds) == ["a.k", "b.k", "c.k", "e.k.new", "f.k.new", "salt"])
        bounds.count = 2
        #expect(try left(bounds) == ["a.k", "b.k", "e.k.new", "f.k.new", "salt"])
        bounds.bytes = 19
        #expect(try left(bounds) == ["a.k", "e.k.new", "f.k.new", "salt"])
        bounds.temporaryAge = 10
        #expect(try left(bounds) == ["a.k", "f.k.new", "salt"])
        CacheDirectory(directory["nowhere"]).prune(".k", keeping: bounds, now: now)
    }
}
