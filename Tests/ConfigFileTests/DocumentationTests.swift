import ConfigFile
import OrderedCollections
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#endif

@Suite("docs/configuration.md")
struct DocumentationTests {
    @Test("every example loads")
    func examples() throws {
        let blocks = try fencedBlocks()
        #expect(blocks.count { $0.language == "yaml" } >= 4 && blocks.count { $0.language == "json" } >= 3)
        for block in blocks where block.language != "text" {
            #expect(throws: Never.self, "\(block.text)") {
                let config = try read(block.text, "docs.\(block.language)")
                #expect(!config.servers.isEmpty && config.servers.values.allSatisfy { $0.unusable == nil })
            }
        }
    }

    @Test("every code is listed", arguments: ConfigProblem.Code.allCases)
    func code(_ code: ConfigProblem.Code) throws {
        #expect(try page().contains("`\(code.rawValue)`"))
    }

    private func fencedBlocks() throws -> [(language: String, text: String)] {
        var blocks: [(language: String, text: String)] = []
        var open: (language: String, lines: [Substring])?
        for line in try page().split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                if let block = open {
                    blocks.append((block.language, block.lines.joined(separator: "\n")))
                    open = nil
                } else {
                    open = (String(line.dropFirst(3)), [])
                }
            } else {
                open?.lines.append(line)
            }
        }
        return blocks
    }

    private func page() throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(root)/docs/configuration.md", "r"), "docs/configuration.md is missing")
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
